"""What texts and TOML say, as values of the types that options have."""

from __future__ import annotations

import math
import operator
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union


def leaves(value: Any) -> Iterator[Any]:
    """The values within nested lists and tuples, or `value` itself."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def typed(hint: Any, value: Any) -> Any:
    """`value`, a text or what TOML holds, as an option's type `hint`. Raises ValueError, TypeError, KeyError or
    OverflowError where it is none."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, value)
    if origin is Literal:
        for choice in arguments:
            if value == choice or (isinstance(value, str) and value == str(choice)):
                return choice
        raise ValueError
    if origin is tuple or hint is tuple:
        return _tuple(arguments, value)
    if hint is bool:
        if isinstance(value, str):
            return _BOOLEANS[value.strip().lower()]
        if isinstance(value, bool):
            return value
        raise ValueError
    if hint in (int, float):
        return _number(hint, value)
    if hint is str:
        if not isinstance(value, str):
            raise ValueError
        return value
    if hint is Path:
        if not isinstance(value, (str, Path)) or str(value) == "":
            raise ValueError
        return Path(value)
    if hint is Any:
        return value
    raise TypeError(f"options of type {hint} are not supported")


def _union(arguments: tuple, value: Any) -> Any:
    if type(None) in arguments and (value is None or value == "" or str(value).lower() == "none"):
        return None
    for argument in arguments:
        if argument is not type(None):
            try:
                return typed(argument, value)
            except (ValueError, TypeError, KeyError):
                continue
    raise ValueError


def _number(hint: type, value: Any) -> int | float:
    if isinstance(value, bool) or value is None:
        raise ValueError
    if hint is int:
        try:
            return int(value) if isinstance(value, str) else operator.index(value)  # exactly, however large
        except (ValueError, TypeError):
            pass  # a whole number may be written as 1e3 or 2.0
    number = float(value)
    if not math.isfinite(number) or (hint is int and number != int(number)):
        raise ValueError
    return hint(number)


def _tuple(arguments: tuple, value: Any) -> tuple:
    if isinstance(value, str):
        text = value.strip().replace("(", "[").replace(")", "]")
        if text.startswith("["):
            try:
                value = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                value = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
        else:
            value = [part.strip() for part in text.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError
    if not arguments:
        return tuple(value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(typed(arguments[0], item) for item in value)
    if len(value) != len(arguments):
        raise ValueError
    return tuple(typed(argument, item) for argument, item in zip(arguments, value, strict=True))


def words(hint: Any) -> str:
    """The type `hint` as a sentence names it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if argument is type(None) else words(argument) for argument in arguments)
    if origin is Literal:
        return "a name"
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"a list, each {words(arguments[0])}"
        return f"{len(arguments)} values, each {words(arguments[0])}"
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text", Path: "a path"}
    return names.get(hint, str(hint))
