"""Presets fit every recipe, keep what the user chose, and recipe files survive the round trip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.window import presets
from engine.errors import RecipeError
from engine.optimize.options import difference, set_option
from engine.optimize.recipe import Recipe, load_recipe, recipe_names


@pytest.mark.parametrize("recipe_name", recipe_names())
@pytest.mark.parametrize("name", [preset.name for preset in presets.PRESETS])
def test_every_preset_fits_every_recipe_and_is_recognized(name, recipe_name):
    recipe, defaults = load_recipe(recipe_name), load_recipe(recipe_name)
    presets.apply(name, recipe, defaults)
    assert presets.matching(recipe, defaults) == name


def test_balanced_is_the_recipe_itself():
    recipe, defaults = Recipe(), Recipe()
    presets.apply("quick", recipe, defaults)
    presets.apply("balanced", recipe, defaults)
    assert difference(recipe, defaults) == []


def test_best_asks_for_more_and_quick_for_less():
    quick, best = Recipe(), Recipe()
    presets.apply("quick", quick, Recipe())
    presets.apply("best", best, Recipe())
    assert quick.shape.resolution < Recipe().shape.resolution < best.shape.resolution == 96
    assert quick.mesh.faces < Recipe().mesh.faces < best.mesh.faces == 40000
    assert [preset.minutes for preset in presets.PRESETS] == sorted(preset.minutes for preset in presets.PRESETS)


def test_times_are_told_of_the_recipe_that_they_are_of():
    best = presets.preset("best")
    assert best.duration("object") == "about 15 minutes" and "15 minutes" in best.described("object")
    assert best.duration("scene") == "" and best.described("scene") == best.sentence


def test_every_stage_of_a_recipe_is_known():
    assert {"hull", "splats", "fuse", "cage", "blackbox", "subdivision", "export"} <= presets.stages_of_recipes()


def test_a_preset_keeps_what_it_says_nothing_about():
    recipe = Recipe()
    recipe.capture.masks, recipe.export.name = "masks", "cup"
    presets.apply("best", recipe, Recipe())
    assert (recipe.capture.masks, recipe.export.name) == ("masks", "cup")
    recipe.shape.steps += 1
    assert presets.matching(recipe, Recipe()) == ""
    assert presets.baseline("best", Recipe())["shape.steps"] == recipe.shape.steps - 1


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(RecipeError, match="quick, balanced, best"):
        presets.preset("fast")


def test_recipe_files_survive_the_round_trip(tmp_path):
    recipe = Recipe()
    set_option(recipe, "capture.region", "-1,-1,-1,1,1,1")
    path = presets.write_recipe(recipe, tmp_path / "mine")
    assert path.name == "mine.toml" and [p.name for p in tmp_path.iterdir()] == ["mine.toml"]
    assert difference(presets.read_recipe(path), recipe) == []


def test_a_recipe_that_is_nonsense_is_named(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text("[shape]\nstepz = 3\n")
    with pytest.raises(RecipeError, match="shape.steps"):
        presets.read_recipe(path)
    with pytest.raises(RecipeError, match="a recipe is a .toml file"):
        presets.read_recipe(tmp_path / "photo.png")
    with pytest.raises(RecipeError, match="choose another folder"):
        presets.write_recipe(Recipe(), tmp_path / "nowhere" / "mine.toml")


def test_presets_need_neither_qt_nor_torch():
    code = "import sys, app.window.presets; print([m for m in ('PySide6', 'torch') if m in sys.modules])"
    root = Path(__file__).resolve().parents[3]
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr
