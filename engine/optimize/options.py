"""Options defined once: a dataclass field carries its meaning, unit, range and liveness; parsing and help read them."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import json
import textwrap
import tomllib
import typing
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from engine.errors import RecipeError
from engine.optimize.option_values import leaves, typed, words

T = TypeVar("T")


@dataclass(frozen=True)
class Meaning:
    """What an option's field says about itself, kept in the field's metadata."""

    help: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    or_zero: bool = False  # 0, which leaves something out, is allowed although `low` is more
    choices: tuple | None = None
    live: bool = False  # may change while a run goes on
    file_name: bool = False  # becomes part of files' names
    path: Literal["", "file", "folder"] = ""  # what on the disk it names

    @property
    def range(self) -> str:
        """The allowed values in words, empty when anything goes."""
        if self.file_name:
            return "a plain file name without folders"
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        low, high = (_bound(bound) for bound in (self.low, self.high))
        if low and high:
            return f"{low} to {high}"
        if low and self.or_zero:
            return f"0 or at least {low}"
        return f"at least {low}" if low else f"at most {high}" if high else ""


def _bound(bound: float | None) -> str:
    return "" if bound is None else str(bound) if isinstance(bound, int) else f"{bound:.12g}"


@dataclass(frozen=True)
class OptionRow:
    """One option of a recipe, as help texts and panels list it."""

    key: str  # dotted
    value: Any
    default: Any
    type: Any
    meaning: Meaning


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    or_zero: bool = False,
    choices: tuple | None = None,
    live: bool = False,
    file_name: bool = False,
    path: Literal["", "file", "folder"] = "",
) -> Any:
    """A dataclass field that carries its meaning; `default` may be a scalar, a tuple, None, or a dataclass (type or
    instance, copied for each recipe)."""
    metadata = {"meaning": Meaning(help, unit, low, high, or_zero, choices, live, file_name, path)}
    if isinstance(default, type) and is_dataclass(default):
        return field(default_factory=default, metadata=metadata)
    if is_dataclass(default) or isinstance(default, (list, dict, set)):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@functools.cache
def _fields(section: type) -> dict[str, tuple[dataclasses.Field, Any, Meaning]]:
    """Field, type and meaning by name; slow to find out, and panels describe recipes often."""
    hints = typing.get_type_hints(section)
    return {item.name: (item, hints[item.name], _meaning(item, hints[item.name])) for item in fields(section)}


def _meaning(item: dataclasses.Field, hint: Any) -> Meaning:
    meaning = item.metadata.get("meaning", Meaning())
    if meaning.choices is None:
        literal = _literal_values(hint)
        if literal:
            meaning = dataclasses.replace(meaning, choices=literal)
    return meaning


def _literal_values(hint: Any) -> tuple:
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return ()


def _default(item: dataclasses.Field) -> Any:
    if item.default is not dataclasses.MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else None


def describe(recipe: Any, prefix: str = "") -> list[OptionRow]:
    """Every option of a tree of dataclasses, in the order of definition, sections before the next sibling."""
    rows = []
    for name, (item, hint, meaning) in _fields(type(recipe)).items():
        value, key = getattr(recipe, name), f"{prefix}{name}"
        if is_dataclass(value):
            rows += describe(value, key + ".")
        else:
            rows.append(OptionRow(key, value, _default(item), hint, meaning))
    return rows


def find_option(recipe: Any, key: str) -> OptionRow:
    """The row of one dotted key. Raises RecipeError naming the nearest key when there is none."""
    section = recipe
    *path, name = key.split(".")
    for part in path:
        section = getattr(section, part) if is_dataclass(section) and part in _fields(type(section)) else None
    if is_dataclass(section) and name in _fields(type(section)) and not is_dataclass(getattr(section, name)):
        item, hint, meaning = _fields(type(section))[name]
        return OptionRow(key, getattr(section, name), _default(item), hint, meaning)
    keys = [row.key for row in describe(recipe)]
    if any(known.startswith(key + ".") for known in keys):
        raise RecipeError(f"{key} is a section; set one of its options, such as {_first(keys, key + '.')}")
    raise RecipeError(f"unknown option {key!r}; {_nearest(key, keys)}")


def _first(keys: list[str], prefix: str) -> str:
    return next(key for key in keys if key.startswith(prefix))


def _nearest(key: str, known) -> str:
    known, leaf = list(known), key.rsplit(".", 1)[-1]
    leaves = {name.rsplit(".", 1)[-1]: name for name in reversed(known)}
    close = [leaves[leaf]] if leaf in leaves and "." not in key else difflib.get_close_matches(key, known, 1, 0.6)
    if not close:  # perhaps only the section is wrong or missing
        close = [leaves[match] for match in difflib.get_close_matches(leaf, leaves, 1, 0.6)]
    if close:
        return f"did you mean {close[0]!r}?"
    sections = dict.fromkeys(name.rpartition(".")[0] or name for name in known)
    return f"there is none like it; the sections are {', '.join(sections)}" if known else "there are no options here"


def set_option(recipe: Any, key: str, value: Any) -> Any:
    """Set a dotted key in place, from a typed value or a string, and return the value stored.

    Raises RecipeError for an unknown key, a value of the wrong type or one out of range; the recipe is then unchanged.
    """
    row = find_option(recipe, key)
    parsed = parse_value(row, value)
    *path, name = key.split(".")
    section = recipe
    for part in path:
        section = getattr(section, part)
    setattr(section, name, parsed)
    return parsed


def parse_value(row: OptionRow, value: Any) -> Any:
    """`value` as the option's type and within its range. Raises RecipeError naming key, value and allowed range."""
    try:
        parsed = typed(row.type, value)
    except (ValueError, TypeError, KeyError, OverflowError):
        allowed = f" ({row.meaning.range})" if row.meaning.range else ""
        raise RecipeError(f"{row.key} = {value!r}: expected {words(row.type)}{allowed}") from None
    for leaf in leaves(parsed):
        meaning = row.meaning
        number = isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
        low, high = (leaf if bound is None else bound for bound in (meaning.low, meaning.high))
        outside = number and not (low <= leaf <= high or (meaning.or_zero and leaf == 0))
        outside |= meaning.file_name and not _is_file_name(leaf)
        if outside or (meaning.choices and leaf is not None and leaf not in meaning.choices):
            unit = f" {meaning.unit}" if meaning.unit and not meaning.choices else ""
            raise RecipeError(f"{row.key} = {value!r}: must be {meaning.range}{unit}")
    return parsed


def _is_file_name(text: str) -> bool:
    """Whether files can be named so in any folder, without leaving it."""
    return text not in ("", ".", "..") and text.isprintable() and not set(text) & set("/\\")


def flat(recipe: Any) -> dict[str, Any]:
    """Every dotted key and its value."""
    return {row.key: row.value for row in describe(recipe)}


def difference(a: Any, b: Any) -> list[tuple[str, Any, Any]]:
    """(key, value in `a`, value in `b`) wherever two recipes differ; a key that one lacks counts as None."""
    left, right = flat(a), flat(b)
    keys = list(left) + [key for key in right if key not in left]
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def from_toml(cls: type[T], text: str, source: str | Path = "recipe") -> T:
    """A `cls` with the values of TOML `text`; what the text leaves out keeps its default.

    Raises RecipeError, naming `source`, for text that is not TOML, unknown keys (with the nearest known one), values
    of the wrong type or range, and a `schema_version` newer than `cls` knows.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source}: not valid TOML: {error}") from None
    return from_mapping(cls, data, source)


def from_mapping(cls: type[T], data: dict[str, Any], source: str | Path = "recipe") -> T:
    """As `from_toml`, from a nested dict."""
    recipe = cls()
    known = getattr(recipe, "schema_version", None)
    found = data.get("schema_version")
    if known is not None and isinstance(found, int) and found > known:
        raise RecipeError(
            f"{source}: schema_version {found} is newer than this version of Unrender reads ({known}); update Unrender"
        )
    try:
        for key, value in _flatten(data, recipe):
            set_option(recipe, key, value)
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None
    if known is not None:
        recipe.schema_version = known
    return recipe


def _flatten(data: dict[str, Any], section: Any, prefix: str = ""):
    for key, value in data.items():
        child = getattr(section, key, None) if section is not None else None
        if isinstance(value, dict) and value and (is_dataclass(child) or section is None):
            yield from _flatten(value, child, f"{prefix}{key}.")
        elif isinstance(value, dict) and value:  # an unknown section: name its keys, so that the nearest is found
            yield from _flatten(value, None, f"{prefix}{key}.")
        elif not (isinstance(value, dict) and is_dataclass(child)):
            yield f"{prefix}{key}", value


def to_toml(recipe: Any, table: str = "") -> str:
    """TOML text that `from_toml` reads back to an equal recipe; every option carries its help as a comment.

    With `table`, everything stands under [table].
    """
    lines: list[str] = [f"[{table}]"] if table else []
    _write(recipe, f"{table}." if table else "", lines)
    return "\n".join(lines).strip() + "\n"


def _write(section: Any, prefix: str, lines: list[str]) -> None:
    rows = {row.key: row for row in describe(section)}
    children = []
    for item in fields(section):
        value = getattr(section, item.name)
        if is_dataclass(value):
            children.append((f"{prefix}{item.name}", value))
            continue
        lines += _comment(rows[item.name])
        lines.append(f"{item.name} = {toml_value(value)}")
    for name, child in children:
        lines += ["", f"[{name}]"]
        _write(child, name + ".", lines)


def _comment(row: OptionRow) -> list[str]:
    meaning = row.meaning
    notes = [note for note in (meaning.unit, meaning.range, "live" if meaning.live else "") if note]
    text = " ".join([meaning.help, f"({'; '.join(notes)})" if notes else ""]).strip()
    return [f"# {line}" for line in textwrap.wrap(text, 116)]


def toml_value(value: Any) -> str:
    """One scalar or (nested) tuple as TOML; None is the empty string, which options that may be None read as None."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
