"""A project whose photos are not where it has them: the window asks where they are now, and the project remembers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from engine.errors import PhotosMissing
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe
from tests.app.window.conftest import wait_for
from tests.app.window.made_project import finished_project
from tests.app.window.test_start_page import Answers

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def asked(window) -> Answers:
    window.choose = Answers()
    return window.choose


@pytest.fixture
def project(tiny_capture, tmp_path) -> tuple[Path, Path]:
    """(a finished project, whose photos were renamed since; where they are now)."""
    folder, now = finished_project(tiny_capture, tmp_path / "cup"), tmp_path / "renamed"
    shutil.copytree(tiny_capture, now)
    text = (folder / "project.toml").read_text()
    assert str(tiny_capture) in text
    (folder / "project.toml").write_text(text.replace(str(tiny_capture), str(tmp_path / "gone")))
    return folder, now


def way_out(window) -> QPushButton:
    return window.errors.findChild(QPushButton, "error_way_out")


def test_the_error_asks_where_the_photos_are_and_opens_the_project(window, asked, project, qtbot, shoot):
    folder, now = project
    window.studio.open(folder)
    wait_for(qtbot, lambda: window.errors.isVisible() and way_out(window).isVisible())
    assert "not there any more" in window.errors.sentence.text() and "--" not in window.errors.sentence.text()
    shoot(window.errors, "error_photos_missing")
    asked.path = now
    qtbot.mouseClick(way_out(window), LEFT)
    assert not window.errors.isVisible() and asked.questions[-1].kind == "folder"
    wait_for(qtbot, lambda: window.studio.state == "finished" or window.errors.isVisible())
    assert window.studio.state == "finished" and window.studio.capture.path == now
    assert Project.open(folder, Recipe, lock=False).capture_path == str(now)
    window.studio.close_all()
    window.studio.open(folder)  # without asking again
    wait_for(qtbot, lambda: window.studio.state == "finished" or window.errors.isVisible())
    assert window.studio.state == "finished"


def test_other_photos_are_refused_and_may_be_chosen_again(window, asked, project, qtbot):
    folder, now = project
    photo = next(now.glob("*.png"))
    photo.write_bytes(photo.read_bytes() + b"\0")
    before = (folder / "project.toml").read_text()
    window.studio.open(folder, now)
    wait_for(qtbot, window.errors.isVisible)
    assert "changed since this run began" in window.errors.sentence.text() and way_out(window).isVisible()
    assert (folder / "project.toml").read_text() == before
    assert window.studio.state == "empty"


def test_no_other_error_offers_to_look_for_photos(window, tmp_path, qtbot):
    window.errors.offer("Where are they now…", "", lambda: None)
    window.studio.open(tmp_path / "nothing")
    wait_for(qtbot, window.errors.isVisible)
    assert not way_out(window).isVisible()


def test_photos_that_are_missing_are_an_error_of_their_own(project):
    from app.window.opening import opened

    with pytest.raises(PhotosMissing):
        opened(project[0], None)
