"""Composes WGSL from one-feature files: `#include NAME` and `#constant NAME = VALUE`, nothing else, and strictly.

`shaders/NAME.wgsl` starts with `// Provides: ...`. A line `#include NAME` puts another source in its place, once per
composition however often it is named; `#include NAME or OTHER` takes OTHER where no source is called NAME, which is
how a shader that needs a part from outside (a user's shading, say) stands on its own. A line `#constant NAME = VALUE`
becomes `const NAME = VALUE;`, where `compose` may give another value (untyped, so that 4 serves as i32, u32 and f32).
Block comments are left alone. Names that nobody provides, cycles and constants that no file declares are errors.
Nothing here needs a GPU.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from engine.errors import ShaderError
from engine.kernels.diagnostics import diagnostic

_DIRECTIVE = re.compile(r"\s*#\s*(\w+)\s*(.*?)\s*(?://.*)?$")
_INCLUDE = re.compile(r"(\w+)(?:\s+or\s+(\w+))?$")
_CONSTANT = re.compile(r"(\w+)\s*=\s*(\S.*)$")


@dataclass(frozen=True)
class ShaderSource:
    """A composed WGSL module that still knows where each of its lines came from."""

    name: str  # of the shader that was asked for
    text: str  # WGSL, ready for a device
    origins: tuple[tuple[str, int], ...]  # per line of `text`: source and 1-based line in it

    def origin(self, line: int) -> tuple[str, int]:
        """(source name, 1-based line in it) of the 1-based `line` of `text`; the last line for one beyond the end."""
        return self.origins[min(max(line, 1), len(self.origins)) - 1]

    def titled(self, name: str, title: str) -> ShaderSource:
        """The same, with errors in the source `name` told as in `title`: the user's file, say."""
        origins = tuple((title if part == name else part, line) for part, line in self.origins)
        return replace(self, origins=origins)

    def error(self, message: str) -> ShaderError:
        """The compiler's `message` about `text` as an error that names the source, its line and what is there."""
        found = diagnostic(message, self.text)
        if found.line is None:
            return ShaderError(f"shader {self.name}: {found.reason}")
        line, column = found.line, found.column
        if found.redefined:
            places = [(mark.line, mark.column) for mark in found.marks if mark.text == found.redefined]
            theirs = [place for place in places if self.origin(place[0])[0] not in _own_sources()]
            ours = [self.origin(place[0])[0] for place in places if self.origin(place[0])[0] in _own_sources()]
            if theirs and ours:
                name, at = self.origin(theirs[0][0])
                return ShaderError(
                    f"shader {name}, line {at}, column {theirs[0][1]}: the name {found.redefined} belongs to "
                    f"Unrender's {ours[0]}; call yours something else, my_{found.redefined} for example"
                )
        name, at = self.origin(line)
        lines = self.text.splitlines()
        shown = lines[line - 1].strip() if line <= len(lines) else ""
        within = "" if name == self.name else f" (part of {self.name})"
        return ShaderError(f"shader {name}, line {at}, column {column}{within}: {found.reason}: {shown}")


@functools.cache
def _own_sources() -> dict[str, str]:
    folder = resources.files("shaders")
    files = (file for file in folder.iterdir() if file.name.endswith(".wgsl"))
    return {file.name.removesuffix(".wgsl"): file.read_text(encoding="utf-8") for file in files}


def shader_names() -> list[str]:
    """The names of all shaders that Unrender ships, sorted."""
    return sorted(_own_sources())


def _literal(name: str, value: int | float | bool | np.generic) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, (bool, int, float)) or not math.isfinite(plain):
        raise ShaderError(f"constant {name} = {value!r}: WGSL has no such number; give a finite number or a boolean")
    return str(plain).lower() if isinstance(plain, bool) else repr(plain)


def _in_comment(line: str, depth: int) -> int:
    """How many block comments, which nest, are open after `line` where `depth` were open before it."""
    for mark in re.finditer(r"/\*|\*/|//", line):
        if mark[0] == "//":
            if depth == 0:
                break
        else:
            depth = max(depth + (1 if mark[0] == "/*" else -1), 0)
    return depth


def compose(
    name: str,
    *,
    sources: Mapping[str, str] | None = None,
    constants: Mapping[str, int | float | bool | np.generic] | None = None,
) -> ShaderSource:
    """The shader `name` with everything it includes.

    `sources` adds or replaces named includes (a user's own shading function gets in as {"shading": text});
    `constants` replaces the values of `#constant` lines. Raises ShaderError, with file and line, for a name that no
    source has, a cycle of includes, an unknown directive, and for a constant that no included source declares.
    """
    known = {**_own_sources(), **(sources or {})}
    given = dict(constants or {})
    text: list[str] = []
    origins: list[tuple[str, int]] = []
    done: set[str] = set()
    declared: dict[str, tuple[str, int]] = {}

    def add(part: str, trail: tuple[str, ...]) -> None:
        done.add(part)
        depth = 0
        for number, line in enumerate(known[part].splitlines(), 1):
            commented, depth = depth > 0, _in_comment(line, depth)
            if commented or not line.lstrip().startswith("#"):
                text.append(line)
                origins.append((part, number))
                continue
            where = f"shader {part}, line {number}"
            directive = _DIRECTIVE.match(line)
            kind, rest = directive.groups() if directive else ("", "")
            if kind == "include" and (match := _INCLUDE.match(rest)):
                wanted = match[1] if match[1] in known or match[2] is None else match[2]
                if wanted not in known:
                    near = difflib.get_close_matches(wanted, sorted(known.keys() - set(trail)), 1)
                    hint = f"did you mean {near[0]!r}?" if near else "an include is a file of Unrender's folder shaders"
                    raise ShaderError(f"{where}: nothing is called {wanted!r}; {hint}")
                if wanted in trail:
                    raise ShaderError(f"{where}: {' includes '.join((*trail[trail.index(wanted) :], wanted))}, a cycle")
                if wanted not in done:
                    add(wanted, (*trail, wanted))
            elif kind == "constant" and (match := _CONSTANT.match(rest)):
                if match[1] in declared:
                    other, at = declared[match[1]]
                    raise ShaderError(f"{where}: constant {match[1]} is declared in {other}, line {at}, already")
                declared[match[1]] = part, number
                value = _literal(match[1], given.pop(match[1])) if match[1] in given else match[2]
                text.append(f"const {match[1]} = {value};")
                origins.append((part, number))
            else:
                raise ShaderError(
                    f"{where}: {line.strip()!r} is neither '#include NAME', '#include NAME or OTHER' "
                    "nor '#constant NAME = VALUE'"
                )

    if name not in known:
        raise ShaderError(f"no shader is called {name!r}; there are {', '.join(sorted(known))}")
    add(name, (name,))
    if given:
        raise ShaderError(
            f"shader {name}: no '#constant {next(iter(given))} = ...' in it or in what it includes; "
            f"declared are {', '.join(sorted(declared)) or 'none'}"
        )
    return ShaderSource(name, "\n".join(text) + "\n", tuple(origins))
