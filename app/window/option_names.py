"""What options are called in the window, and texts of the engine with those names in them; knows nothing of Qt."""

from __future__ import annotations

import re
from functools import cache

from engine.optimize.options import flat
from engine.optimize.recipe import load_recipe

_KEY = re.compile(r"(?:--set )?\b([a-z]\w*(?:\.[a-z]\w*)+)\b(=\S+)?")


def words_of(key: str) -> str:
    """The last part of a dotted key as words: "refine.learning_rate" is "Learning rate"."""
    text = key.rsplit(".", 1)[-1].replace("_", " ")
    return text[:1].upper() + text[1:]


def place_of(key: str) -> str:
    """Where the recipe panel shows an option: "refine.learning_rate" is "Refine › Learning rate"."""
    return " › ".join(words_of(part) for part in key.split("."))


def in_words(text: str) -> str:
    """A sentence of the engine with the options called as the recipe panel calls them."""

    def named(found: re.Match) -> str:
        return f"“{place_of(found[1])}”" if found[1] in _keys() else found[0]

    return _KEY.sub(named, text)


@cache
def _keys() -> frozenset[str]:
    return frozenset(flat(load_recipe("object")))
