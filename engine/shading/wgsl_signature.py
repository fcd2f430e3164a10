"""What a user's WGSL must declare, and what it must not use, told by file and line before a compiler sees it.

A compiler would blame Unrender's shaders, which call `shade`, for a signature that is another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.errors import ShaderError

SIGNATURE = "fn shade(surface: Surface) -> vec3f"
_MARK = re.compile(r"(/\*|\*/|//|\n)")
_DECLARED = re.compile(r"\bfn\s+shade\s*\(")
_NEAR = re.compile(r"\bfn\s+(\w*shad\w*)\s*\(", re.I)
_ALIAS = re.compile(r"\balias\s+(\w+)\s*=\s*([^;]+);")
_STRUCT = re.compile(r"\bstruct\s+(\w+)")
_ATTRIBUTE = re.compile(r"@\s*\w+\s*(?:\([^()]*\))?")
_DIRECTIVE = re.compile(r"(?<![@\w.])(enable|requires|diagnostic)\b(?=\s*[\w(])[^;\n]*;?")
_BINDING = re.compile(r"@\s*(?:group|binding)\s*\(")
_FRAGMENT_ONLY = re.compile(
    r"\b(dpdx|dpdy|fwidth|dpdxCoarse|dpdyCoarse|fwidthCoarse|dpdxFine|dpdyFine|fwidthFine|"
    r"textureSample|textureSampleBias|textureSampleCompare)\s*\(|\b(discard)\s*;"
)
_KNOWN_TYPE = re.compile(
    r"(?:vec|mat|array|atomic|ptr|texture|sampler)\w*(?:<.*>)?|(?:bool|[iuf](?:32|16)|Surface)", re.S
)
_COLOR = ("vec3f", "vec3<f32>")


def without_comments(text: str) -> str:
    """`text` with blanks in place of its comments, so that every place in it stays where it was."""
    kept, depth, to_end = [], 0, False  # block comments nest
    for part in _MARK.split(text):
        closing = False
        if part == "\n":
            to_end = False
        elif not to_end:
            to_end = part == "//" and depth == 0
            closing = part == "*/" and depth > 0
            depth += (part == "/*") - closing
        kept.append(part if part == "\n" or not (to_end or closing or depth) else " " * len(part))
    return "".join(kept)


def declarations(text: str) -> list[int]:
    """The 1-based lines of `text` in which a function `shade` begins, comments aside."""
    code = without_comments(text)
    return [code.count("\n", 0, found.start()) + 1 for found in _DECLARED.finditer(code)]


def check_text(text: str, title: str) -> None:
    """Raise ShaderError, which calls the file `title` and names the line, for what no shader of the engine can take.

    That is a function `shade` of another signature, a directive, a binding, and what only fragment shaders have.
    """
    code = without_comments(text)

    def wrong(at: int, says: str) -> ShaderError:
        line = code.count("\n", 0, at) + 1
        return ShaderError(f"shader {title}, line {line}, column {at - code.rfind(chr(10), 0, at)}: {says}")

    for found in _DIRECTIVE.finditer(code):
        raise wrong(
            found.start(),
            f"{found[0].strip()!r} is a directive, and a shading, which becomes a part of Unrender's shaders, can have "
            "none; remove it",
        )
    for found in _BINDING.finditer(code):
        raise wrong(
            found.start(),
            "a shading has no bindings of its own; write tables as constants (const table = array(...)), and include "
            "environment for the light",
        )
    for found in _FRAGMENT_ONLY.finditer(code):
        name = found[1] or found[2]
        if not re.search(rf"\bfn\s+{name}\b", code):
            instead = name.replace("Sample", "SampleLevel", 1).replace("LevelBias", "Level")
            way = f"use {instead}" if name.startswith("texture") else "do without it"
            raise wrong(
                found.start(), f"{name} is there in fragment shaders only, and shadings run in compute shaders; {way}"
            )
    for found in _DECLARED.finditer(code):
        says = _misfit(code, found.end())
        if says:
            raise wrong(found.start(), f"{says}; declare {SIGNATURE}")


def nearest_declaration(text: str) -> str:
    """Where a function is called almost as `shade`: ", but 'NAME' in line N"; empty where none is."""
    code = without_comments(text)
    found = _NEAR.search(code)
    return f", but {found[1]!r} in line {code.count(chr(10), 0, found.start()) + 1}" if found else ""


def _misfit(code: str, start: int) -> str:
    """What is wrong with a declaration whose parameters begin at `start`; empty for nothing, or what is not known."""
    aliases, structs = dict(_ALIAS.findall(code)), _STRUCT.findall(code)

    def plain(kind: str) -> str:
        kind = re.sub(r"\s+", "", kind)
        for _ in aliases:
            kind = re.sub(r"\s+", "", aliases.get(kind, kind))
        return kind

    def wrong(kind: str, wanted: tuple[str, ...]) -> bool:
        return kind not in wanted and (kind in structs or bool(_KNOWN_TYPE.fullmatch(kind)))

    end = _closing(code, start)
    given = [part for part in _parts(_ATTRIBUTE.sub("", code[start:end])) if part.strip()]
    if len(given) != 1:
        return f"shade takes {len(given)} arguments instead of one"
    kind = plain(given[0].partition(":")[2])
    if wrong(kind, ("Surface",)):
        return f"shade takes a {kind} instead of a Surface"
    returned = re.match(r"\)\s*(?:->([^{]*))?\{", code[end:])
    if returned is None:
        return ""
    if returned[1] is None:
        return "shade returns nothing"
    kind = plain(_ATTRIBUTE.sub("", returned[1]))
    return f"shade returns a {kind} instead of a vec3f" if wrong(kind, _COLOR) else ""


def _closing(code: str, start: int) -> int:
    """Where the parenthesis that was open before `start` is closed; the end of `code` where it is not."""
    depth = 1
    for at in range(start, len(code)):
        depth += (code[at] == "(") - (code[at] == ")")
        if depth == 0:
            return at
    return len(code)


def _parts(arguments: str) -> Iterator[str]:
    """`arguments` at their commas, but for those within angle brackets."""
    depth, begun = 0, 0
    for at, letter in enumerate(arguments):
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            yield arguments[begun:at]
            begun = at + 1
    yield arguments[begun:]
