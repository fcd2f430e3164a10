"""The start page: three steps by clicks and drops alone, and projects opened before."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QRadioButton

from app.window.choosers import Question
from app.window.files import Files
from app.window.recipe_choice import choose_recipe
from app.window.start_page import StartPage
from engine.capture.photos import VIDEO_SUFFIXES
from tests.app.window.conftest import wait_for


class Answers:
    """Answers what would be asked in a dialog; remembers the questions."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.questions: list[Question] = []

    def __call__(self, parent, question, then) -> None:
        self.questions.append(question)
        if self.path is not None:
            then(self.path)


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def page(studio, answers, shown):
    made = StartPage(studio, files=None)
    made.files.choose = answers
    made.doctor.choose = answers
    return shown(made, 1100, 760)


def click(qtbot, page, name, kind=QPushButton):
    button = page.findChild(kind, name)
    where = QPoint(12, button.height() // 2) if kind is QRadioButton else QPoint()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton, pos=where)


def drop(widget, path: Path) -> bool:
    """Drag `path` over a widget and let it go; whether it was taken."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(widget, enter)
    let_go = QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(widget, let_go)
    return enter.isAccepted()


def fits(question: Question, name: str) -> bool:
    """Whether a file of that name may be chosen."""
    patterns = question.filter.partition("(")[2].rstrip(")").split()
    return any(fnmatch(name, pattern) for pattern in patterns)


def fake_project(folder: Path, color: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "project.toml").write_text("")
    picture = np.full((22 + 64, 6 * 64, 3), 255, np.uint8)
    picture[6:14, [column * 64 + 4 for column in range(6)]] = 0  # where captions begin
    picture[22:, 64:128] = (color, 90, 160)
    Image.fromarray(picture).save(folder / "comparison.png")
    return folder


def test_three_steps_by_clicks(page, studio, answers, tiny_capture, tmp_path, qtbot, watchdog, shoot):
    assert not page.findChild(QPushButton, "start_run").isEnabled()
    shoot(page, "start_page_empty")
    answers.path = tiny_capture
    click(qtbot, page, "open_folder")
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    watchdog.forgive()  # a first capture loads libraries, which holds the interpreter
    assert "8 photos to learn from" in page.findChild(QLabel, "opened_capture").text()
    click(qtbot, page, "goal_quick", QRadioButton)
    assert studio.recipe.shape.resolution == 48 and page.findChild(QRadioButton, "goal_quick").isChecked()
    answers.path = tmp_path / "elsewhere" / "run"
    click(qtbot, page, "change_folder")
    assert answers.questions[-1].kind == "new folder"
    assert studio.project_folder == answers.path
    assert page.findChild(QLabel, "project_folder").text().replace("\u200b", "") == str(answers.path)
    assert page.doctor.isVisible() and not page.recent.isVisible()
    shoot(page, "start_page_ready")
    page.resize(760, 600)
    qtbot.wait(50)
    shoot(page, "start_page_small")
    called = []
    studio.run = lambda: called.append(True)
    click(qtbot, page, "start_run")
    assert called


def test_the_sample_is_one_click_away(page, studio, qtbot):
    click(qtbot, page, "open_sample")
    wait_for(qtbot, lambda: studio.state == "ready")
    assert len(studio.capture.frames) > 30


@pytest.mark.parametrize("name", ["transforms.json", "walk.mp4"])
def test_a_file_of_a_capture_can_be_chosen(page, studio, answers, tiny_capture, tmp_path, qtbot, name, monkeypatch):
    opened = []
    monkeypatch.setattr(studio, "open", opened.append)
    answers.path = tmp_path / name
    click(qtbot, page, "open_file")
    page.files.actions["new_file"].trigger()
    assert opened == [answers.path] * 2
    assert all(question.kind == "file" and fits(question, name) for question in answers.questions)


def test_every_video_that_can_be_opened_can_be_chosen(page, answers):
    page.files.open_file()
    for suffix in VIDEO_SUFFIXES:
        assert fits(answers.questions[0], f"walk{suffix}"), suffix
    assert "video" in page.drop_area.text() and "transforms.json" in page.drop_area.text()


def test_a_captures_own_file_opens_it(page, studio, answers, tiny_capture, qtbot):
    answers.path = tiny_capture / "transforms.json"
    click(qtbot, page, "open_file")
    wait_for(qtbot, lambda: studio.state == "ready")
    assert len(studio.capture.frames) == 10


def test_a_folder_can_be_dropped_anywhere(page, studio, tiny_capture, qtbot):
    assert drop(page, tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    assert studio.capture.path == tiny_capture


def test_a_photo_that_is_dropped_opens_its_folder(page, studio, tiny_capture, qtbot):
    assert drop(page, tiny_capture / "photo_02.png")
    wait_for(qtbot, lambda: studio.state == "ready")
    assert studio.capture.path == tiny_capture


def test_a_mesh_of_ones_own_is_refined(page, studio, answers, tiny_capture, tmp_path, qtbot):
    import trimesh

    mesh = tmp_path / "ball.ply"
    trimesh.creation.icosphere(subdivisions=2).export(mesh)
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    studio.put_option("capture.up", "+z")
    wait_for(qtbot, lambda: studio.capture is not None)
    click(qtbot, page, "recipe_refine", QRadioButton)
    assert not page.from_mesh.isChecked()  # nothing was chosen
    answers.path = mesh
    click(qtbot, page, "recipe_refine", QRadioButton)
    wait_for(qtbot, lambda: studio.recipe.name == "refine")
    assert studio.recipe.refine.mesh == str(mesh) and studio.recipe.stages[0] == "given"
    assert studio.recipe.capture.up == "+z" and page.from_mesh.isChecked()
    assert page.mesh.text() == "ball.ply"
    click(qtbot, page, "recipe_object", QRadioButton)
    assert studio.recipe.name == "object" and not page.mesh.isVisible()


def test_recent_projects_are_shown_with_pictures_and_open(page, studio, tmp_path, qtbot, shoot):
    files: Files = page.files
    for number in range(14):
        files.recent.add(fake_project(tmp_path / f"project {number}", 15 * number))
    assert len(files.recent.projects()) == 12 and page.recent.isVisible()
    (tmp_path / "project 9" / "project.toml").unlink()
    files.recent.look()
    wait_for(qtbot, lambda: page.recent.count() == 11)
    assert page.recent.count() == 11 and page.recent.item(0).text() == "project 13"

    def painted() -> bool:
        pixel = page.recent.item(0).icon().pixmap(148, 104).toImage().pixelColor(74, 52)
        return pixel.red() == 195

    wait_for(qtbot, painted)
    shoot(page, "start_page_recent")
    opened = []
    studio.open = opened.append
    place = page.recent.visualItemRect(page.recent.item(1)).center()
    qtbot.mouseClick(page.recent.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert opened == [tmp_path / "project 12"]


def test_bad_photos_are_named_and_can_be_left_out(page, studio, tiny_capture, tmp_path, qtbot, shoot):
    import shutil

    broken = Path(shutil.copytree(tiny_capture, tmp_path / "broken"))
    (broken / "photo_03.png").write_bytes(b"not a picture")
    studio.open(broken)
    wait_for(qtbot, lambda: studio.state == "empty" and page.doctor.report is not None)
    assert studio.problems and page.doctor.isVisible()
    texts = [label.text() for label in page.doctor.findChildren(QLabel)]
    assert any("photo_03" in text and "1 of 10" in text for text in texts), texts
    shoot(page, "start_page_problems")
    page.doctor.copy()
    assert "photo_03" in QGuiApplication.clipboard().text()
    click(qtbot, page, "remedy_skip")
    wait_for(qtbot, lambda: studio.state == "ready")
    assert len(studio.capture.frames) == 9


def test_times_are_told_only_where_they_are_known(page):
    best = page.findChild(QRadioButton, "goal_best")
    for recipe, told in (("object", True), ("scene", False), ("object", True)):
        choose_recipe(page.studio, recipe)
        page.refresh_choice()
        assert ("15 minutes" in best.text()) is told and ("15 minutes" in best.toolTip()) is told
