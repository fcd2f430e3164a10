"""A run whose folder is gone or full goes on and loses nothing; the window says what can be done."""

from __future__ import annotations

import os
import shutil

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QPushButton

from app.window.project_picture import write_photo, write_picture
from app.window.unsaved import UnsavedWarning
from engine.errors import ExchangeError, ProjectError
from engine.optimize import export_scene
from engine.optimize.messages import Notice, Unsaved
from tests.app.window.conftest import SECONDS, wait_for
from tests.app.window.made_project import finished_project


def test_it_is_said_once_per_run(studio):
    told = []
    warning = UnsavedWarning(studio, lambda *what: told.append(what), studio)
    studio.message_received.emit(Notice("no checkpoint is needed", "warning"))
    assert not told
    for _ in range(3):
        studio.message_received.emit(Unsaved("no checkpoint: /run/x: cannot be written (No space left)", "warning"))
    assert len(told) == 1 and "/run/x: cannot be written (No space left)." in told[0][0] and "File › Save" in told[0][0]
    studio.session_changed.emit(None)
    studio.message_received.emit(Unsaved("no checkpoint", "warning"))
    assert len(told) == 2 and warning.parent() is studio


def click(qtbot, box, name):
    qtbot.mouseClick(box.findChild(QPushButton, name), Qt.MouseButton.LeftButton)


@pytest.fixture
def begun(open_studio, tmp_path, qtbot):
    """A run that waits at its second step, in a folder of a drive."""
    studio = open_studio
    (tmp_path / "drive").mkdir()
    studio.set_project_folder(tmp_path / "drive" / "cup")
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("volume.steps", 4)
    studio.set_option("run.evaluate", False)
    studio.set_option("run.checkpoint_seconds", 1000)
    studio.run_until(2)
    wait_for(qtbot, lambda: studio.state == "paused")
    studio.said = []
    studio.message_received.connect(studio.said.append)
    return studio


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder in which a file is open")
def test_a_projects_folder_taken_away_in_mid_run_is_made_anew_whole(window, begun, tmp_path, qtbot):
    studio = begun
    studio.project.rename(tmp_path / "away")
    studio.run()
    wait_for(qtbot, lambda: studio.state in ("finished", "failed"))
    assert studio.state == "finished" and not studio.problems and not window.is_unfinished
    assert any("is made anew" in getattr(message, "text", "") for message in studio.said)
    folder = studio.project
    studio.close_all()
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "finished")
    assert studio.session.total_step == 4 and not studio.problems


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder in which a file is open")
def test_a_run_whose_drive_is_gone_is_not_closed_unasked_and_can_be_saved_elsewhere(
    window, begun, tmp_path, qtbot, shoot
):
    studio, files = begun, window.files
    shutil.rmtree(tmp_path / "drive")
    studio.run()
    wait_for(qtbot, lambda: studio.state in ("finished", "failed"))
    wait_for(qtbot, lambda: any(isinstance(message, Unsaved) for message in studio.said))
    assert studio.state == "finished" and not studio.problems and not (tmp_path / "drive").exists()
    assert window.errors.isVisible() and len(window.errors.problems) == 1
    assert "cannot be made anew" in window.errors.sentence.text() and "--" not in window.errors.sentence.text()
    assert "Save as" in window.errors.sentence.text()
    shoot(window.errors, "unsaved")
    window.errors.close()
    files.actions["save"].trigger()
    wait_for(qtbot, lambda: studio.problems)
    assert "Save as" in studio.problems[0][0]
    window.controls.actions_["run"].trigger()  # again, in a new folder
    box = window.findChild(QMessageBox, "question")
    leave = next(button for button in box.findChildren(QPushButton) if button.text() == "Save and leave")
    qtbot.mouseClick(leave, Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: len(studio.problems) == 2)
    assert "Save as" in studio.problems[1][0] and studio.state == "finished" and studio.session is not None
    window.close()
    assert window.isVisible() and "not saved" in window.question.text()
    click(qtbot, window.question, "save_and_close")
    wait_for(qtbot, lambda: len(studio.problems) == 3)
    assert window.isVisible() and window.stack.isEnabled() and studio.state == "finished"
    session = studio.session
    with qtbot.waitSignal(studio.project_moved, timeout=600_000):
        files.copy_to(tmp_path / "new")
    assert studio.session is session and studio.project == tmp_path / "new" and not window.is_unfinished
    assert [entry.total_step for entry in session.checkpoints()] == [4] and (tmp_path / "new" / "project.toml").exists()


@pytest.fixture
def before_export(studio, window, tiny_capture, tmp_path, qtbot):
    """A run that waits before its last stage."""
    studio.open(finished_project(tiny_capture, tmp_path / "cup"))
    wait_for(qtbot, lambda: studio.state == "finished")
    studio.revert(studio.session.checkpoints()[0].path)
    wait_for(qtbot, lambda: studio.state == "paused" and studio.session.stage_name == "export")
    return studio


def full(*_) -> None:
    raise ExchangeError("asset.ply: cannot be written: the disk is full; free some space and export again")


@pytest.mark.slow
def test_a_full_disk_in_the_last_stage_loses_nothing(before_export, window, qtbot, monkeypatch):
    studio, session, run = before_export, before_export.session, window.controls.actions_["run"]
    monkeypatch.setattr(export_scene, "placed_together", full)
    studio.run()
    wait_for(qtbot, lambda: studio.state == "failed" and studio.problems)
    assert "still in memory" in studio.problems[0][0] and "File › Save" in studio.problems[0][0]
    assert run.text() == "Try again" and "still in memory" in run.toolTip()
    assert window.files.actions["save"].isEnabled()
    before = len(session.project.history)
    with qtbot.waitSignal(window.files.saved, timeout=600_000):
        window.files.actions["save"].trigger()
    assert studio.call(lambda session: session.total_step).result(SECONDS) == session.total_step
    monkeypatch.undo()
    run.trigger()
    wait_for(qtbot, lambda: studio.state == "finished")
    assert studio.session is session and len(studio.problems) == 1
    assert [entry.kind for entry in session.project.history[before:]] == []  # nothing was opened anew


@pytest.mark.slow
def test_try_again_says_where_it_goes_back_to(before_export, window, qtbot):
    studio = before_export
    studio.engine.call(lambda: studio.engine.spoil(ProjectError("it broke")))
    wait_for(qtbot, lambda: studio.state == "failed" and studio.problems)
    step = studio.session.checkpoint_step
    assert step and f"goes back to step {step}" in studio.problems[0][0]
    assert f"back to step {step:,}" in window.controls.actions_["run"].toolTip()
    save = window.files.actions["save"]
    assert not save.isEnabled() and "half done" in save.toolTip()
    studio.engine.saved_step = -1
    window.close()
    assert window.isVisible() and window.question.findChild(QPushButton, "save_and_close") is None
    click(qtbot, window.question, "keep_open")


@pytest.mark.slow
def test_no_picture_is_left_where_a_projects_folder_was(before_export, tmp_path, qtbot):
    folder = before_export.project

    def is_left(session) -> bool:
        folder.rename(tmp_path / "away")
        assert write_picture(session) is None
        write_photo(session.capture, folder)
        return folder.exists()

    assert not before_export.call(is_left).result(SECONDS), "the run itself, held here, may make the folder anew"
