"""Option keys in the engine's sentences, as the window calls them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from app.window.background import described
from app.window.findings import plain
from app.window.option_names import in_words, place_of
from engine.capture.options import NO_MASKS
from engine.errors import ProjectError, RecipeError
from engine.optimize.options import set_option
from engine.optimize.project import check_folder
from engine.optimize.recipe import load_recipe

ENGINE = Path(__file__).resolve().parents[3] / "engine"


def test_keys_become_the_names_that_the_recipe_panel_shows():
    assert place_of("refine.learning_rate") == "Refine › Learning rate"
    assert in_words("volume.steps = 'x': expected a whole number").startswith("“Volume › Steps” = 'x'")


def test_a_flag_of_the_command_line_becomes_the_name_alone():
    assert in_words("give it with --set refine.mesh=FILE (GLB)") == "give it with “Refine › Mesh” (GLB)"


def test_file_names_and_other_dotted_words_stay():
    text = "photos/transforms.json: e.g. scene.glb cannot be read; see engine.errors"
    assert in_words(text) == text
    for path in ("/sweep/refine.ssim 0.4/project.toml: cannot be read", "C:\\sweep\\refine.ssim 0: is in use"):
        assert in_words(path) == path


def test_a_key_in_quotes_stays_as_a_file_needs_it():
    text = "look.toml: unknown option 'refine.stepps'; did you mean 'refine.steps'?"
    assert in_words(text) == text
    with pytest.raises(RecipeError) as told:
        set_option(load_recipe("object"), "refine.stepps", 3)
    assert in_words(str(told.value)) == "unknown option 'refine.stepps'; did you mean 'refine.steps'?"


def test_flags_of_the_command_line_become_what_the_window_offers(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    said = {}
    for name in ("file", "full"):
        with pytest.raises(ProjectError) as told:
            check_folder(tmp_path / name)
        said[name] = described(told.value)[0].removeprefix(f"{tmp_path / name}: ")
    assert said["file"] == "is a file; choose a folder"
    assert said["full"] == "is not empty; choose another folder, or open the project in it"
    bad = "cup: 1 of 9 frames cannot be used (--skip-bad-frames goes on without them): a.png: it is damaged"
    assert in_words(bad).endswith("used (“Capture › Skip bad frames” goes on without them): a.png: it is damaged")
    assert "used: a.png" in plain(bad, "cup"), "where there is a button for it"
    assert in_words(NO_MASKS) == (
        "the photos have no masks, which this recipe needs; give a folder of masks with “Capture › Masks”, or a box "
        "around the object with “Capture › Region”, or the colour of a plain background with “Capture › Color key” "
        "(0 to 255)"
    )


def test_no_sentence_about_folders_and_photos_names_a_flag():
    """Every text of the engine with such a flag, as the window says it."""
    flags = re.compile(r"--(out|overwrite|skip-bad-frames|masks|capture)\b")
    left = []
    for path in sorted(ENGINE.rglob("*.py")):
        for raised in ast.walk(ast.parse(path.read_text())):
            if isinstance(raised, ast.JoinedStr | ast.Constant):
                parts = raised.values if isinstance(raised, ast.JoinedStr) else [raised]
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "/place" for part in parts)
                if flags.search(in_words(text)):
                    left.append(f"{path.name}: {text}")
    assert not left
