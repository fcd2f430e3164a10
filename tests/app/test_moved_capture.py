"""Photos that were moved after the run: `--capture` says where they are, and the project then knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.optimize.moved_capture import place_of_capture
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe
from tests.app.tiny import HULL_ONLY, flags, unrender


@pytest.fixture
def moved(capture, copied, tmp_path) -> tuple[Path, Path]:
    """(project folder, where the photos are now) of a run whose photos moved after it."""
    before, now = copied(capture), tmp_path / "elsewhere"
    told = unrender("run", before, "--out", tmp_path / "run", *flags(HULL_ONLY))
    assert told.code == 0, told.err
    before.rename(now)
    return tmp_path / "run", now


def test_photos_that_moved_are_named_once(moved, capture, tmp_path):
    project, now = moved
    picture = ["--out", tmp_path / "x.png"]
    for command, *rest in (["resume"], ["eval"], ["export"], ["render", *picture]):
        told = unrender(command, project, *rest)
        assert told.code == 1 and "not there any more" in told.err and "--capture" in told.err
    told = unrender("resume", project, "--capture", tmp_path / "nowhere")
    assert told.code == 1 and "nowhere: there is no such capture" in told.err
    for command, *rest in (["eval"], ["export"], ["render", *picture]):
        told = unrender(command, project, *rest, "--capture", now)
        assert told.code == 1 and "capture" not in told.err, told.err  # what is missing now is an asset
    told = unrender("render", capture / "truth" / "mesh.ply", *picture, "--capture", now)
    assert told.code == 1 and "has no photos" in told.err
    told = unrender("resume", project, "--capture", now)
    assert told.code == 0, told.err
    text = (project / "project.toml").read_text()
    assert str(now) in text and str(tmp_path / "copy") not in text
    assert unrender("resume", project).code == 0


def test_a_photo_that_has_gone_is_asked_for_again(moved):
    project, now = moved
    next((now / "train").glob("*.png")).unlink()
    for command in ("resume", "eval"):
        told = unrender(command, project, "--capture", now)
        assert told.code == 1 and "--skip-bad-frames" not in told.err
        assert "1 of 16 frames cannot be used (restore these files, or start a new run" in told.err


def test_other_photos_are_not_taken_for_those_that_moved(moved):
    project, now = moved
    photo = next((now / "train").glob("*.png"))
    photo.write_bytes(photo.read_bytes() + b"\0")
    before = (project / "project.toml").read_text()
    told = unrender("resume", project, "--capture", now)
    assert told.code == 1 and "photos or poses changed" in told.err and str(now) in told.err
    assert (project / "project.toml").read_text() == before


def test_a_file_of_a_capture_is_found_in_the_folder_that_moved(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "cameras.json").touch()
    project = Project(tmp_path / "run", Recipe(), str(tmp_path / "old" / "cameras.json"), "", "cpu")
    assert place_of_capture(project, tmp_path / "new") == (tmp_path / "new" / "cameras.json").resolve()


@pytest.mark.parametrize("name", ["", "transforms.json"])
def test_masks_in_the_captures_folder_move_with_it(tmp_path, name):
    recipe = Recipe()
    recipe.capture.masks = str(tmp_path / "old" / "masks")
    project = Project(tmp_path / "run", recipe, str(tmp_path / "old" / name), "", "cpu")
    assert place_of_capture(project, tmp_path / "new" / name) == (tmp_path / "new" / name).resolve()
    assert Path(recipe.capture.masks) == (tmp_path / "new" / "masks").resolve()
    recipe.capture.masks = str(tmp_path / "apart")
    place_of_capture(project, tmp_path / "newer" / name)
    assert recipe.capture.masks == str(tmp_path / "apart")
