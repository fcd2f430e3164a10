"""Where up is in files that have no place for it: a comment in the OBJ and PLY files that we write."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

HEAD = 1 << 16  # bytes in which the comment stands
_COMMENT = re.compile(rb"^(?:#|comment) Unrender up (\S+) (\S+) (\S+)\s*$", re.MULTILINE)


def up_comment(up: np.ndarray) -> str:
    """The comment, without the word or sign that begins one, of a frame whose up direction is `up` [3]."""
    unit = np.asarray(up, float) / np.linalg.norm(up)
    return "Unrender up " + " ".join(f"{value:.12g}" for value in unit + 0.0)


def stated_up(path: Path | str) -> np.ndarray | None:
    """The up direction [3] that a file's comment states; None where there is none, or none that is a direction."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD).partition(b"end_header")[0]
    except OSError:
        return None
    found = _COMMENT.search(head)
    try:
        up = np.array([float(word) for word in found.groups()]) if found else np.zeros(3)
    except ValueError:
        return None
    if not (np.abs(up) <= 1).all() or not up.any():
        return None
    return up / np.linalg.norm(up)
