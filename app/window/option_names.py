"""What options are called in the window, and texts of the engine in its words; knows nothing of Qt."""

from __future__ import annotations

import re
from functools import cache

from engine.optimize.options import flat
from engine.optimize.recipe import load_recipe

_KEY = re.compile(r"(?<!['/\\])(?:--set )?\b([a-z]\w*(?:\.[a-z]\w*)+)\b(=\S+?(?=[,;:]?(?:\s|$)))?")
_COMMAND_LINE = (  # the engine speaks to the command line too; longer ones before what they contain
    ("(--skip-bad-frames goes on without them)", "(“Capture › Skip bad frames” goes on without them)"),
    ("choose another --out, resume it, or give --overwrite", "choose another folder, or open the project in it"),
    ("choose another --out, or give --overwrite", "choose another folder"),
    ("--overwrite replaces only those, choose another --out", "choose another folder"),
    ("choose another --out", "choose another folder"),
    ("--out needs a folder", "choose a folder"),
    ("give the --out folder of an earlier run", "choose the folder of an earlier run"),
    ("start over with --overwrite", "start a new run"),
    ("or say where they are now with --capture", "or open the project again and say where they are now"),
    ("with --masks DIR", "with “Capture › Masks”"),
    ("with --masks", "with “Capture › Masks”"),
    ("--masks DIR", "a folder of masks"),
    ("--masks ", "“Capture › Masks” "),
    ("; see `unrender run --help`", ""),
    ("`unrender doctor`", "the findings beside the photos"),
    ("--device cpu", "the device cpu"),
    ("`unrender run` and the window find them", "opening the photos finds them"),
)


def words_of(key: str) -> str:
    """The last part of a dotted key as words: "refine.learning_rate" is "Learning rate"."""
    text = key.rsplit(".", 1)[-1].replace("_", " ")
    return text[:1].upper() + text[1:]


def place_of(key: str) -> str:
    """Where the recipe panel shows an option: "refine.learning_rate" is "Refine › Learning rate"."""
    return " › ".join(words_of(part) for part in key.split("."))


def without_flags(text: str) -> str:
    """A sentence of the engine with what the window offers in place of the command line's flags."""
    for technical, words in _COMMAND_LINE:
        text = text.replace(technical, words)
    return text


def in_words(text: str) -> str:
    """A sentence of the engine without the command line's flags, with the options called as the recipe panel does.

    A key in quotes stays as it is: it stands in a file or in the console so.
    """

    def named(found: re.Match) -> str:
        return f"“{place_of(found[1])}”" if found[1] in _keys() else found[0]

    return _KEY.sub(named, without_flags(text))


@cache
def _keys() -> frozenset[str]:
    return frozenset(flat(load_recipe("object")))
