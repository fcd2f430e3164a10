"""Lines of what a console shows, broken where they are longer than a text view can lay out without standing still."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 2000  # characters of a line
MOST = 20_000  # characters of a result or of one part of a traceback, which are shown at once


def broken(text: str, column: int = 0) -> tuple[str, int]:
    """(text with no line longer than LONGEST, length of its last line); `column` is how long the first is already."""
    parts = []
    for line in re.split(r"([\n\r])", text):
        if line in ("\n", "\r"):
            column = 0
        while column + len(line) > LONGEST:
            at = _place(line, LONGEST - column)
            parts += [line[:at], "\n"]
            line, column = line[at:], 0
        parts.append(line)
        column += len(line) if line not in ("\n", "\r") else 0
    return "".join(parts), column


def _place(line: str, at: int) -> int:
    """Where to break a line: at `at`, or before the colour that would be cut in two there."""
    escape = line.rfind("\x1b", max(at - 16, 1), at)
    return escape if escape > 0 and not re.match(r"\x1b\[[\d;]*[A-Za-z]", line[escape:at]) else at


def bounded(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a message with its result or traceback cut to what can be shown at once, and its lines broken."""
    result = content.get("data", {}).get("text/plain")
    if isinstance(result, str):
        content = content | {"data": content["data"] | {"text/plain": _cut(result)}}
    if "traceback" in content:
        lines = [_cut(line) for line in content["traceback"]]
        content = content | {"traceback": lines, "evalue": content["evalue"][:LONGEST]}
    return content


def _cut(text: str) -> str:
    more = len(text) - MOST
    text = broken(text[:MOST])[0]
    return f"{text}\n… and {more:,} characters more" if more > 0 else text
