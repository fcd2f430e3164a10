"""The File menu on a real project: save, save as, recent, and what is imported."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel, QMainWindow, QMenu, QMessageBox, QPushButton

import assets
from app.window.background import ProgressHandle
from app.window.choosers import ask_path
from app.window.files import Files
from app.window.project_copy import copy_project, copy_session
from app.window.recent import RecentProjects, thumbnail
from engine.errors import Cancelled, ProjectError
from engine.optimize.messages import Notice
from tests.app.tiny import content
from tests.app.window.conftest import SECONDS, wait_for
from tests.app.window.made_project import finished_project
from tests.app.window.test_start_page import Answers, fake_project


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def files(qtbot, studio, answers):
    window = QMainWindow()
    window.setCentralWidget(QLabel("A window"))
    made = Files(studio, window, answers)
    made.menu = QMenu("File", window)
    made.fill(made.menu)
    window.menuBar().addMenu(made.menu)
    qtbot.addWidget(window)
    window.resize(500, 420)
    window.show()
    qtbot.waitExposed(window)
    studio.said = []
    studio.message_received.connect(lambda m: studio.said.append(m.text) if isinstance(m, Notice) else None)
    return made


@pytest.fixture
def project(studio, qtbot, tiny_capture, tmp_path):
    """A finished project, opened."""
    folder = finished_project(tiny_capture, tmp_path / "cup")
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "finished" and studio.snapshot is not None)
    return folder


def kept(project: Path) -> dict[str, bytes | None]:
    """What a project's folder holds but for its picture, which a worker draws when it comes to it."""
    return {name: held for name, held in content(project).items() if not name.startswith("preview")}


def enabled(files) -> set[str]:
    return {name for name, action in files.actions.items() if action.isEnabled()}


def test_only_what_makes_sense_is_enabled(files, studio, answers, tiny_capture, qtbot, shoot):
    assert enabled(files) == {"new", "new_file", "open", "sample", "splats"} and not files.recent_menu.isEnabled()
    answers.path = tiny_capture
    files.actions["new"].trigger()
    wait_for(qtbot, lambda: studio.state == "ready")
    assert enabled(files) == {"new", "new_file", "open", "sample", "mesh", "splats", "light"}
    files.menu.popup(files.window.mapToGlobal(files.window.rect().topLeft()))
    shoot(files.menu, "file_menu")
    files.menu.close()


@pytest.mark.slow
def test_saving_keeps_everything_and_a_new_name_is_gone_on_with(files, studio, project, answers, tmp_path, qtbot):
    assert enabled(files) == {"new", "new_file", "open", "sample", "light", "export", "save", "save_as"}
    before = {path.name for path in (project / "checkpoints").iterdir()}
    with qtbot.waitSignal(files.saved, timeout=600_000) as saved:
        files.actions["save"].trigger()
    assert saved.args[0].name not in before and f"Saved in {project}" in studio.said
    answers.path = tmp_path / "copies" / "cup two"
    with qtbot.waitSignal(files.saved, timeout=600_000):
        files.actions["save_as"].trigger()
    copy = answers.path
    assert answers.questions[-1].start == tmp_path / "cup copy"
    for path in project.rglob("*"):
        if path.is_file() and path.name != "project.lock":
            copied = copy / path.relative_to(project)
            assert copied.read_bytes() == path.read_bytes()
    assert [p.name for p in copy.parent.iterdir()] == ["cup two"]
    assert studio.project == copy and studio.state == "finished"
    assert [entry.name for entry in files.recent.projects()] == ["cup two", "cup"]
    before = content(project)
    with qtbot.waitSignal(files.saved, timeout=600_000) as saved:
        files.actions["save"].trigger()
    assert saved.args[0].parent == copy / "checkpoints" and content(project) == before
    studio.open(project)  # which is free again
    wait_for(qtbot, lambda: studio.state == "finished" and studio.project == project)
    studio.open(copy)
    wait_for(qtbot, lambda: studio.state == "finished" and studio.project == copy)
    assert not studio.problems


@pytest.mark.slow
def test_a_run_goes_on_under_its_new_name(files, studio, tiny_capture, tmp_path, qtbot):
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("volume.steps", 1_000_000)
    studio.set_option("run.evaluate", False)
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    studio.run()
    wait_for(qtbot, lambda: studio.session is not None and studio.session.total_step > 3)
    session, project, target = studio.session, studio.project, tmp_path / "new"
    studio.set_option("volume.rays", 256)
    with qtbot.waitSignal(studio.project_moved, timeout=600_000):
        files.copy_to(target)
    moved_at = session.total_step
    left = kept(project)
    wait_for(qtbot, lambda: studio.session.total_step > moved_at + 3)
    assert studio.session is session and studio.project == target and studio.state == "running"
    marks = {entry.name: entry.running for entry in files.recent.projects()}
    assert marks == {"new": True, project.name: False}
    studio.stop()
    wait_for(qtbot, lambda: studio.state == "paused" and not studio.has_unsaved_steps)
    assert kept(project) == left and not studio.problems
    end = session.total_step
    assert session.checkpoints()[-1].total_step == end and session.checkpoints()[-1].path.is_relative_to(target)
    studio.open(target)
    wait_for(qtbot, lambda: studio.session is not session and studio.state == "paused")
    assert studio.session.total_step == end and studio.recipe.volume.rays == 256
    keys = [entry.key for entry in studio.session.project.history if entry.kind == "set"]
    assert keys == ["volume.rays"]


def test_a_run_stopped_by_an_error_is_opened_anew_under_its_new_name(files, studio, project, tmp_path, qtbot):
    studio.engine.call(lambda: studio.engine.spoil(ProjectError("it broke")))
    wait_for(qtbot, lambda: studio.state == "failed")
    assert {"save_as"} <= enabled(files) and "save" not in enabled(files)
    with pytest.raises(ProjectError, match="Try again"):
        studio.call(lambda session: None).result(SECONDS)
    files.copy_to(tmp_path / "new")
    wait_for(qtbot, lambda: studio.project == tmp_path / "new" and studio.state == "finished")
    assert len(studio.problems) == 1


def test_a_new_name_that_cannot_be_written_leaves_the_run_where_it_is(files, studio, project, tmp_path, qtbot):
    (tmp_path / "file").write_text("")
    files.copy_to(tmp_path / "file" / "new")
    wait_for(qtbot, lambda: studio.problems)
    assert "cannot be written" in studio.problems[0][0] and studio.project == project
    assert studio.call(lambda session: session.checkpoint()).result(SECONDS).is_relative_to(project)


def test_what_is_cancelled_before_the_run_could_move_leaves_nothing(tmp_path):
    source, target = fake_project(tmp_path / "source", 3), tmp_path / "target"
    checkpoint, never = Future(), Future()
    checkpoint.set_result(None)
    futures = [checkpoint, never]
    session = SimpleNamespace(project=SimpleNamespace(folder=source), call=lambda function: futures.pop(0))
    handle = ProgressHandle("", lambda handle: handle.cancel() if handle.done == 1.0 else None)
    with pytest.raises(Cancelled):
        copy_session(session, target, handle)
    assert never.cancelled() and not target.exists()


@pytest.mark.slow
def test_a_paused_run_leaves_a_picture_for_the_start_page(files, studio, project, qtbot):
    from PySide6.QtCore import QSize

    from app.window.project_picture import write_picture

    assert studio.call(write_picture).result(SECONDS) == project / "preview.png"
    (project / "comparison.png").unlink(missing_ok=True)
    picture = thumbnail(project, QSize(148, 104))
    assert picture.size().toTuple() == (148, 104) and picture.pixelColor(74, 52).alpha() == 255


@pytest.mark.slow
def test_leaving_an_unfinished_run_asks_and_saves_it(files, studio, tiny_capture, answers, qtbot, shoot):
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    studio.run_until(3)
    wait_for(qtbot, lambda: studio.state == "paused")
    project = studio.project
    wait_for(qtbot, lambda: thumbnail(project, QSize(148, 104)) is not None)  # a photo, before there is a surface
    assert files.recent.projects()[0].running
    answers.path = tiny_capture
    files.actions["open"].trigger()
    box = files.window.findChild(QMessageBox, "question")
    shoot(box, "leave_question")
    qtbot.mouseClick(box.button(QMessageBox.StandardButton.Cancel), Qt.MouseButton.LeftButton)
    assert studio.project == project
    wait_for(qtbot, lambda: files.window.findChild(QMessageBox, "question") is None)
    files.actions["open"].trigger()
    box = files.window.findChild(QMessageBox, "question")
    leave = next(button for button in box.findChildren(QPushButton) if button.text() == "Save and leave")
    qtbot.mouseClick(leave, Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: studio.state == "ready" and studio.session is None)
    assert not files.recent.projects()[0].running
    wait_for(qtbot, lambda: any((project / "checkpoints").glob("*.json")))


def test_a_copy_appears_whole_or_not_at_all(tmp_path):
    source = fake_project(tmp_path / "source", 3)
    (source / "checkpoints").mkdir()
    (source / "checkpoints" / "one.json").write_text("1")
    target = tmp_path / "target"
    with pytest.raises(Cancelled):
        copy_project(source, target, cancelled=lambda: True)
    with pytest.raises(ProjectError, match="inside the project"):
        copy_project(source, source / "in")
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError, match="cannot be written"):
        copy_project(source, tmp_path / "file" / "copy")
    with pytest.raises(ProjectError, match="already"):
        copy_project(source, fake_project(tmp_path / "taken", 4))
    assert {path.name for path in tmp_path.iterdir()} == {"source", "file", "taken"}
    told = []
    assert copy_project(source, target, lambda done, text: told.append(done)) == target
    assert told[-1] == 1.0 and (target / "checkpoints" / "one.json").read_text() == "1"


def test_a_copy_names_the_place_that_cannot_be_made(tmp_path, monkeypatch):
    source, target = fake_project(tmp_path / "source", 3), tmp_path / "gone" / "target"
    make = Path.mkdir

    def refuse(path, *arguments, **named):
        if "gone" in path.parts:  # as in /proc
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        make(path, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ProjectError, match="cannot be written .*choose another place") as told:
        copy_project(source, target)
    assert str(told.value).startswith(str(target))
    monkeypatch.undo()
    remove = partial(shutil.rmtree, source)

    def lose(_done, _text):
        if source.exists():
            remove()

    (source / "a").write_bytes(b"1")
    (source / "z").write_bytes(b"2")
    with pytest.raises(ProjectError, match="no longer there") as told:
        copy_project(source, tmp_path / "copy", lose)
    assert str(told.value).startswith(str(source)) and not list(tmp_path.iterdir())


def test_recent_projects_survive_and_missing_ones_vanish(settings, tmp_path, qtbot):
    recent = RecentProjects(settings)
    for number in range(15):
        recent.add(fake_project(tmp_path / f"p{number}", number), f"photos {number}")
    recent.add(tmp_path / "p9")
    recent.mark(tmp_path / "p14", True)
    again = RecentProjects(settings)
    assert [entry.name for entry in again.projects()][:3] == ["p9", "p14", "p13"] and len(again.projects()) == 12
    assert again.projects()[0].capture == "photos 9" and again.projects()[1].running
    shutil.rmtree(tmp_path / "p14")
    with qtbot.waitSignal(again.changed):
        again.look()
    assert "p14" not in [entry.name for entry in again.projects()]
    again.forget(tmp_path / "p9")
    assert again.projects()[0].name == "p13"
    settings.setValue("recent/projects", "{nonsense")
    assert RecentProjects(settings).projects() == []


@pytest.mark.parametrize("side", (48, 128, 300))
@pytest.mark.parametrize("maps", (0, 3))
def test_a_thumbnail_is_the_first_render_of_splats_and_surfaces_alike(tmp_path, qtbot, monkeypatch, side, maps):
    from PySide6.QtCore import QSize

    from engine.exchange import write_png
    from engine.optimize import comparison

    def grey(value):
        return np.full((side, side, 3), value, np.float32)

    monkeypatch.setattr(comparison, "photo_on_white", lambda capture, frame: (grey(0), None))
    monkeypatch.setattr(comparison, "rendered_on_white", lambda renderer, camera: grey(0.5))
    monkeypatch.setattr(comparison, "_maps", lambda renderer, camera: [grey(0)] * maps)
    capture = SimpleNamespace(frames=[SimpleNamespace(camera=None)] * 2)
    write_png(tmp_path / "comparison.png", comparison.comparison(None, capture, [0, 1]))
    picture = thumbnail(tmp_path, QSize(30, 30))
    inside = [picture.pixelColor(x, y).getRgb()[:3] for x in (0, 3, 6) for y in (0, 3, 6)]
    assert all(color == (128, 128, 128) for color in inside), inside


def test_a_project_without_pictures_has_no_thumbnail(tmp_path, qtbot):
    from PySide6.QtCore import QSize

    (tmp_path / "comparison.png").write_bytes(b"no picture")
    assert thumbnail(tmp_path, QSize(10, 10)) is None


def test_a_light_is_taken_for_looking_only(files, studio, answers, tiny_capture, tmp_path, qtbot):
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    answers.path = Path(str(assets.environment("studio")))
    files.actions["light"].trigger()
    wait_for(qtbot, lambda: studio.relight is not None)
    assert studio.relight.radiance.ndim == 3
    broken = tmp_path / "broken.hdr"
    broken.write_text("no light")
    files.open_path(broken)
    wait_for(qtbot, lambda: studio.problems)
    assert "broken.hdr" in studio.problems[0][0]


def test_a_broken_mesh_is_refused_and_the_recipe_stays(files, studio, tiny_capture, tmp_path, qtbot):
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    broken = tmp_path / "broken.glb"
    broken.write_text("no mesh")
    files.open_path(broken)
    wait_for(qtbot, lambda: studio.problems)
    assert studio.recipe.name == "object" and "broken.glb" in studio.problems[0][0]


def test_the_real_chooser_does_not_hold_the_window(files, qtbot, tmp_path):
    from PySide6.QtWidgets import QFileDialog

    from app.window.choosers import Question

    taken = []
    ask_path(files.window, Question("Folder", "folder", start=tmp_path), taken.append)
    dialog = files.window.findChild(QFileDialog, "chooser")
    assert dialog.isVisible()
    dialog.selectFile(str(tmp_path))
    dialog.accept()
    assert taken == [tmp_path]
