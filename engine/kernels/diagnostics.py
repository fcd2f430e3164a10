"""What a WGSL compiler's message says, in plain words, and which line and column it means.

naga validates whole functions: the place in its message's head is then that of `fn`, and what is wrong is underlined in
the excerpt below it, or not at all. Types and expressions carry numbers that mean nothing to the author.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(r"┌─ (?:wgsl)?:(\d+):(\d+)")
_SAYS = re.compile(r"error: (.*)")
_NOTE = re.compile(r"^\s+= (.*)", re.M)
_CODE = re.compile(r"^\s*(\d+) │ (.*)$")
_BELOW = re.compile(r"^\s*[│·] (.*)$")
_NAMED = re.compile(r"`(\w+)`")
_REDEFINED = re.compile(r"redefinition of `(\w+)`")
_KINDS = {"Float": "f", "Sint": "i", "Uint": "u"}
_SIZES = {"Bi": 2, "Tri": 3, "Quad": 4}
_SCALAR = re.compile(r"Scalar(?:\(Scalar)? \{ kind: (\w+), width: (\d) \}\)?")
_VECTOR = re.compile(r"Vector \{ size: (\w+), scalar: (\w+) \}")
_PLAIN = (
    (r"The type of \[\d+\] doesn't match the type stored in \[\d+\]", "the value is not of the variable's type"),
    (r"The `return` expression None .*", "the function ends without returning what it declares"),
    (r"The `return` expression .*", "what is returned is not of the type that the function declares"),
    (
        r"Argument (\d+) value \[\d+\] doesn't match the type \[\d+\]",
        r"the argument number \1, from 0, is of another type",
    ),
    (r"\[\d+\] \(of type ([^()]*)\)", r"\1"),
    (r" \[\d+\]", ""),
)


@dataclass(frozen=True)
class Underlined:
    """One marked piece of the excerpt."""

    line: int  # 1-based, of the module
    column: int  # 1-based
    text: str  # what is marked
    label: str  # what the compiler says of it; may be empty


@dataclass(frozen=True)
class Diagnostic:
    """A compiler's message taken apart."""

    reason: str
    line: int | None  # 1-based, of the module; None where the message has no place
    column: int
    marks: tuple[Underlined, ...] = ()

    @property
    def redefined(self) -> str | None:
        """The name that is declared twice, where that is what is wrong."""
        found = _REDEFINED.search(self.reason)
        return found[1] if found else None


def _marks(message: str) -> list[Underlined]:
    """The underlined pieces, in the order of the excerpt."""
    found: list[Underlined] = []
    framed = "╭" in message
    line, code = 0, ""
    for row in message.splitlines():
        if shown := _CODE.match(row):
            line, code = int(shown[1]), shown[2][2:] if framed else shown[2]
            continue
        below = _BELOW.match(row)
        if not below or not line:
            continue
        under = below[1][2:] if framed else below[1]
        if framed and "╰" in below[1]:
            continue
        carets = list(re.finditer(r"\^+|-{2,}", under))
        for mark in carets:
            label = under[mark.end() :].strip() if mark is carets[-1] else ""
            found.append(Underlined(line, mark.start() + 1, code[mark.start() : mark.end()], label))
    return found


def _plain(reason: str) -> str:
    reason = _SCALAR.sub(lambda m: f"{_KINDS[m[1]]}{8 * int(m[2])}" if m[1] in _KINDS else "bool", reason)
    reason = _VECTOR.sub(lambda m: f"vec{_SIZES.get(m[1], '?')}<{m[2]}>", reason)
    for pattern, words in _PLAIN:
        reason = re.sub(pattern, words, reason)
    return reason


def diagnostic(message: str, text: str) -> Diagnostic:
    """The compiler's `message` about the module `text`."""
    said, head = _SAYS.search(message), _HEAD.search(message)
    reason = said[1].strip() if said else message.strip().rpartition("\n")[2].strip()
    notes = [note.strip() for note in _NOTE.findall(message) if not note.startswith("note: allowed")]
    if head is None:
        return Diagnostic(_plain(reason), None, 0)
    marks = _marks(message)
    line, column = int(head[1]), int(head[2])
    if not reason.endswith("is invalid"):  # a parser's message: its head is right but for calls, where it is an operand
        if notes and notes[0] not in reason:
            reason += f" ({notes[0].removeprefix('note: ').rstrip(':')})"
        called = set(_NAMED.findall(said[1] if said else ""))
        for mark in marks:
            if ("argument" in reason or "redefinition" in reason) and mark.text in called:
                line, column = mark.line, mark.column
        return Diagnostic(_plain(reason), line, column, tuple(marks))
    note = notes[-1] if notes else ""
    reason = f"{_plain(reason)} ({_plain(note)})" if note else _plain(reason)
    lines = _function_lines(text, line)
    asked = [number for number, row in lines if re.search(r"\bif\b", row)]
    if "`return` expression None" in note:
        line, column = lines[-1][0], 1
    elif "`if` condition" in note and asked:  # what is underlined, if anything, is where the value comes from
        if len(asked) > 1:
            reason += f"; one of the lines {asked[0] - line} to {asked[-1] - line} below"
        else:
            line, column = asked[0], 1
    elif marks:
        best = ([mark for mark in marks if not mark.label.startswith("naga::")] or marks)[-1]
        line, column = best.line, best.column
    return Diagnostic(reason, line, column, tuple(marks))


def _function_lines(text: str, first: int) -> list[tuple[int, str]]:
    """(1-based number, code without comments) of the lines of the function that begins in line `first`."""
    found, depth = [], 0
    for number, row in enumerate(text.splitlines()[first - 1 :], first):
        code = row.partition("//")[0]
        found.append((number, code))
        depth += code.count("{") - code.count("}")
        if depth <= 0 and "}" in code:
            break
    return found
