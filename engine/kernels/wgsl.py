"""Composes WGSL from one-feature files: `#include NAME` and `#constant NAME = VALUE`, nothing else, and strictly.

`shaders/NAME.wgsl` starts with `// Provides: ...`. A line `#include NAME` puts another source in its place, once per
composition however often it is named; `#include NAME or OTHER` takes OTHER where no source is called NAME, which is
how a shader that needs a part from outside (a user's shading, say) stands on its own. A line `#constant NAME = VALUE`
becomes `const NAME = VALUE;`, where `compose` may give another value (untyped, so that 4 serves as i32, u32 and f32).
Names that nobody provides, cycles and constants that no file declares are errors. Nothing here needs a GPU.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

from engine.errors import ShaderError

_DIRECTIVE = re.compile(r"\s*#\s*(\w+)\s*(.*?)\s*(?://.*)?$")
_INCLUDE = re.compile(r"(\w+)(?:\s+or\s+(\w+))?$")
_CONSTANT = re.compile(r"(\w+)\s*=\s*(\S.*)$")
_PLACE = re.compile(r"┌─ (?:wgsl)?:(\d+):(\d+)")
_SAYS = re.compile(r"error: (.*)")
_NOTE = re.compile(r"^\s+= (.*)", re.M)


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
        said, place, note = _SAYS.search(message), _PLACE.search(message), _NOTE.search(message)
        reason = said[1].strip() if said else message.strip().rpartition("\n")[2].strip()
        if note and note[1] not in reason:
            reason += f" ({note[1].strip()})"
        if place is None:
            return ShaderError(f"shader {self.name}: {reason}")
        name, line = self.origin(int(place[1]))
        shown = self.text.splitlines()[int(place[1]) - 1].strip() if self.text else ""
        within = "" if name == self.name else f" (part of {self.name})"
        return ShaderError(f"shader {name}, line {line}, column {place[2]}{within}: {reason}: {shown}")


@functools.cache
def _own_sources() -> dict[str, str]:
    folder = resources.files("shaders")
    files = (file for file in folder.iterdir() if file.name.endswith(".wgsl"))
    return {file.name.removesuffix(".wgsl"): file.read_text(encoding="utf-8") for file in files}


def shader_names() -> list[str]:
    """The names of all shaders that Unrender ships, sorted."""
    return sorted(_own_sources())


def _literal(value: int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def compose(
    name: str,
    *,
    sources: Mapping[str, str] | None = None,
    constants: Mapping[str, int | float | bool] | None = None,
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
        for number, line in enumerate(known[part].splitlines(), 1):
            if not line.lstrip().startswith("#"):
                text.append(line)
                origins.append((part, number))
                continue
            where = f"shader {part}, line {number}"
            directive = _DIRECTIVE.match(line)
            kind, rest = directive.groups() if directive else ("", "")
            if kind == "include" and (match := _INCLUDE.match(rest)):
                wanted = match[1] if match[1] in known or match[2] is None else match[2]
                if wanted not in known:
                    raise ShaderError(
                        f"{where}: nothing is called {wanted!r}; what can be included is {', '.join(sorted(known))}"
                    )
                if wanted in trail:
                    raise ShaderError(f"{where}: {' includes '.join((*trail[trail.index(wanted) :], wanted))}, a cycle")
                if wanted not in done:
                    add(wanted, (*trail, wanted))
            elif kind == "constant" and (match := _CONSTANT.match(rest)):
                if match[1] in declared:
                    other, at = declared[match[1]]
                    raise ShaderError(f"{where}: constant {match[1]} is declared in {other}, line {at}, already")
                declared[match[1]] = part, number
                value = _literal(given.pop(match[1])) if match[1] in given else match[2]
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
