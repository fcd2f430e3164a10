"""Edits that can be undone: an option, several options at once, a photo taken out or in, the region, splats."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtGui import QUndoCommand

from engine.optimize.options import toml_value

OPTION, EXCLUDE, REGION = 1, 2, 3  # kinds whose consecutive edits may merge
TOGETHER_SECONDS = 1.0  # between edits that are one, as while an arrow is held or the wheel is turned
clock = time.monotonic


class Edit(QUndoCommand):
    """Goes from `before` to `after` by `apply`, which returns False where the change was refused.

    A refused edit removes itself from the stack; edits of one `subject` that follow each other at once become one, and
    vanish where they end at the start. `after` and `before` are never changed in place by whoever made them.
    """

    kind = -1

    def __init__(self, apply: Callable[[Any], bool | None], subject: Any, before: Any, after: Any, text: str) -> None:
        super().__init__(text)
        self.apply, self.subject, self.before, self.after = apply, subject, before, after
        self.time = clock()  # of the newest change in it

    def redo(self) -> None:
        """Apply `after`."""
        if self.apply(self.after) is False:
            self.setObsolete(True)

    def undo(self) -> None:
        """Apply `before`."""
        if self.apply(self.before) is False:
            self.setObsolete(True)

    def id(self) -> int:
        """Qt merges neighbours of the same kind."""
        return self.kind

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Take in an edit of the same subject that came at once; what was in force for a while can be gone back to."""
        if not isinstance(other, Edit) or other.subject != self.subject or other.isObsolete():
            return False
        if other.time - self.time > TOGETHER_SECONDS:
            return False
        self.after, self.time = other.after, other.time
        self.setText(other.text())
        self.setObsolete(_same(self.before, self.after))
        return True


class OptionEdit(Edit):
    """One option; `apply` is told (key, value)."""

    kind = OPTION

    def __init__(self, apply: Callable[[str, Any], bool | None], key: str, before: Any, after: Any) -> None:
        super().__init__(lambda value: apply(key, value), key, before, after, f"{key} = {toml_value(after)}")


class OptionsEdit(Edit):
    """Several options at once, such as a preset; `apply` is told all as {key: value}. Never merges."""

    def __init__(
        self,
        apply: Callable[[dict[str, Any]], bool | None],
        before: dict[str, Any],
        after: dict[str, Any],
        text: str,
    ) -> None:
        super().__init__(apply, None, before, after, text)


class ExcludeEdit(Edit):
    """One photo left out or taken in; `apply` is told (frame, excluded)."""

    kind = EXCLUDE

    def __init__(self, apply: Callable[[int, bool], bool | None], frame: int, excluded: bool, name: str = "") -> None:
        verb = "leave out" if excluded else "take in"
        text = f"{verb} {name or f'photo {frame}'}"
        super().__init__(lambda value: apply(frame, value), frame, not excluded, excluded, text)


class RegionEdit(Edit):
    """The region box [2,3] in capture units, or None; a drag is one edit. `apply` is told the box."""

    kind = REGION

    def __init__(self, apply: Callable[[Any], bool | None], before: Any, after: Any) -> None:
        super().__init__(
            apply, "region", _copied(before), _copied(after), "region" if after is not None else "no region"
        )


class SplatsEdit(Edit):
    """Splats deleted, or put back; `apply` is told whether they are deleted. Never merges."""

    def __init__(self, apply: Callable[[bool], bool | None], count: int) -> None:
        super().__init__(apply, None, False, True, f"delete {count:,} splats")


def _copied(box: Any) -> np.ndarray | None:
    return None if box is None else np.array(box, dtype=np.float64)


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return type(a) is type(b) and a == b
