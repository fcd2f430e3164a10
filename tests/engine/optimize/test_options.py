"""One definition of an option feeds TOML, --set and help; what is wrong is named with the nearest right thing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import torch

from engine.errors import RecipeError
from engine.optimize.options import describe, difference, find_option, from_toml, option, set_option, to_toml
from engine.optimize.recipe import Recipe, load_recipe


@dataclass
class Inner:
    rate: float = option(0.1, "step size", unit="m", low=0.0, high=1.0, live=True)
    count: int = option(3, "how many", low=1)
    kind: Literal["fast", "exact"] = option("fast", "which way")
    box: tuple[tuple[float, float, float], tuple[float, float, float]] | None = option(None, "region")
    path: Path | None = option(None, "file")
    names: tuple[str, ...] = option(("a", "b"), "names")
    on: bool = option(True, "switch")
    size: int = option(0, "longest side; 0 is its own", unit="px", low=32, or_zero=True)
    label: str = option('quote " and \\ and \x7f', "text")


@dataclass
class Outer:
    schema_version: int = option(2, "layout")
    inner: Inner = field(default_factory=Inner)
    other: Inner = option(Inner(rate=0.5), "copied for each recipe")


def test_toml_round_trip():
    recipe = Outer()
    set_option(recipe, "inner.box", "((0,0,0),(1,2,3))")
    set_option(recipe, "inner.path", "some folder/ä.png")
    set_option(recipe, "inner.rate", "1e-5")
    again = from_toml(Outer, to_toml(recipe))
    assert again == recipe and again.inner.box == ((0, 0, 0), (1, 2, 3))
    assert "# step size (m; 0 to 1; live)" in to_toml(recipe)
    assert from_toml(Recipe, to_toml(Recipe())) == Recipe()


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("inner.rate", "0.25", 0.25),
        ("inner.size", "0", 0),
        ("inner.size", "32", 32),
        ("inner.rate", "1", 1.0),
        ("inner.count", "12", 12),
        ("inner.count", 7.0, 7),
        ("inner.count", "1e3", 1000),
        ("inner.count", "9007199254740993", 9007199254740993),
        ("inner.on", "no", False),
        ("inner.kind", "exact", "exact"),
        ("inner.names", "x, y", ("x", "y")),
        ("inner.names", "", ()),
        ("inner.names", "['x','y']", ("x", "y")),
        ("inner.box", "", None),
        ("inner.path", "none", None),
        ("inner.path", "f.ply", Path("f.ply")),
    ],
)
def test_texts_are_parsed_to_the_fields_type(key, text, value):
    recipe = Outer()
    assert set_option(recipe, key, text) == value
    assert find_option(recipe, key).value == value


def test_an_option_found_alone_is_its_row_of_the_whole():
    for recipe in (Outer(), Recipe()):
        assert [find_option(recipe, row.key) for row in describe(recipe)] == describe(recipe)


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("inner.rate", "2", "inner.rate = '2': must be 0 to 1 m"),
        ("inner.rate", "nan", "a finite number"),
        ("inner.count", "1.5", "a whole number"),
        ("inner.count", "0", "at least 1"),
        ("inner.size", "31", "inner.size = '31': must be 0 or at least 32 px"),
        ("inner.kind", "slow", "one of fast, exact"),
        ("inner.on", "maybe", "true or false"),
        ("inner.box", "1,2", "2 values"),
        ("inner.raet", "1", "did you mean 'inner.rate'"),
        ("iner.kind", "fast", "did you mean 'inner.kind'"),
        ("count", "1", "did you mean 'inner.count'"),
        ("x.y", "1", "unknown option 'x.y'; there is none like it; the sections are"),
        ("inner", "1", "is a section"),
    ],
)
def test_wrong_values_and_keys_are_refused_and_change_nothing(key, text, said):
    recipe = Outer()
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        set_option(recipe, key, text)
    assert recipe == Outer()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inner.rat = 1", "did you mean 'inner.rate'"),
        ("[iner]\nrate = 0.1", "iner.rate.*did you mean 'inner.rate'"),
        ("[empty]", "unknown option 'empty'"),
        ("inner = 3", "is a section"),
        ("schema_version = 3", "newer"),
        ("a = ", "not valid TOML"),
        ("[inner]\nrate = 'x'", "expected a finite number"),
    ],
)
def test_bad_toml_names_the_source(text, said):
    with pytest.raises(RecipeError, match=f"mine.toml.*{said}"):
        from_toml(Outer, text, "mine.toml")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../x", "/tmp/x", "a\\b", "a\nb", "a\0b"])
def test_the_assets_name_stays_in_its_folder(name, tmp_path):
    with pytest.raises(RecipeError, match="export.name.*plain file name"):
        load_recipe("object", [f"export.name={name}"])
    recipe = Recipe()
    recipe.export.name = name
    file = tmp_path / "own.toml"
    file.write_text(to_toml(recipe), encoding="utf-8")
    with pytest.raises(RecipeError, match="export.name.*plain file name"):
        load_recipe(file)
    assert load_recipe("object", ["export.name=my Käfer.v2"]).export.name == "my Käfer.v2"


@pytest.mark.parametrize("seed", ["9223372036854775808", "99999999999999999999", "-1"])
def test_a_seed_that_generators_cannot_take_is_refused(seed):
    with pytest.raises(RecipeError, match="run.seed = .*must be 0 to 9223372036854775807"):
        load_recipe("object", [f"run.seed={seed}"])
    largest = load_recipe("object", ["run.seed=9223372036854775807"]).run.seed
    assert torch.Generator().manual_seed(largest).initial_seed() == largest


def test_describe_lists_what_help_and_panels_need():
    row = {row.key: row for row in describe(Outer())}["other.rate"]
    assert (row.value, row.default, row.meaning.unit, row.meaning.live) == (0.5, 0.1, "m", True)
    assert row.meaning.range == "0 to 1" and row.meaning.help == "step size"
    assert all(row.meaning.help for row in describe(Recipe())), "every option of the recipe explains itself"


def test_difference():
    changed = Outer()
    set_option(changed, "inner.count", 9)
    assert difference(Outer(), changed) == [("inner.count", 3, 9)]


def test_recipes_are_parsed_without_torch():
    code = "import engine.optimize.recipe, sys; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
