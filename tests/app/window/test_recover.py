"""After the program died in mid-run, the next start offers to go on from the last autosave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMainWindow, QPushButton

from app.window.files import Files
from app.window.recent import RecentProjects
from app.window.recover import RecoverDialog, Unfinished, ago, is_held, last_save, offer_recovery
from tests.app.window.conftest import wait_for
from tests.app.window.made_project import finished_project
from tests.app.window.test_start_page import fake_project

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def window(qtbot):
    made = QMainWindow()
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.mark.slow
def test_a_run_that_died_goes_on_from_its_autosave(studio, settings, window, tiny_capture, tmp_path, qtbot, shoot):
    folder = finished_project(tiny_capture, tmp_path / "cup", until=7)
    recent = RecentProjects(settings)
    recent.add(folder, str(tiny_capture), running=True)
    shown = []
    offer_recovery(studio, recent, window, shown.append)
    wait_for(qtbot, lambda: shown)
    dialog: RecoverDialog = shown[0]
    assert "step 7" in dialog.list.item(0).text() and " ago" in dialog.list.item(0).text()
    qtbot.wait(50)
    shoot(dialog, "recover_dialog")
    qtbot.mouseClick(dialog.findChild(QPushButton, "recover_go_on"), Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: studio.state == "paused")
    assert studio.project == folder and studio.session.total_step == 7
    assert not recent.projects()[0].running  # asked once


def test_nothing_is_offered_for_projects_that_ended_well(studio, settings, window, tmp_path, qtbot):
    recent = RecentProjects(settings)
    recent.add(fake_project(tmp_path / "fine", 1), running=False)
    shown = []
    offer_recovery(studio, recent, window, shown.append)
    wait_for(qtbot, lambda: not studio._background._handles)
    assert not shown


def test_a_project_that_another_process_runs_is_left_alone(studio, settings, window, tmp_path, qtbot):
    folder = fake_project(tmp_path / "held", 1)
    code = (
        "import sys; from pathlib import Path; from engine.optimize.project_lock import ProjectLock; "
        "lock = ProjectLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder / "project.lock")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout.readline().strip() == b"held"
        assert is_held(folder)
        recent = RecentProjects(settings)
        recent.add(folder, running=True)
        shown = []
        offer_recovery(studio, recent, window, shown.append)
        wait_for(qtbot, lambda: not studio._background._handles)
        assert not shown and recent.projects()[0].running
        other.stdin.close()
    assert not is_held(folder)


def test_damaged_checkpoints_are_passed_over(tmp_path):
    folder = fake_project(tmp_path / "damaged", 1)
    assert last_save(folder) == Unfinished(folder, None)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "checkpoint-000002.json").write_text("{broken")
    (folder / "checkpoints" / "checkpoint-000001.json").write_text(
        '{"body": "{\\"values\\": {\\"stage\\": \\"shape\\", \\"total_step\\": 41}}"}'
    )
    found = last_save(folder)
    assert (found.stage, found.step) == ("shape", 41) and "step 41" in found.described(found.saved + 120)
    assert "2 minutes ago" in found.described(found.saved + 120)


def test_spans_of_time_in_words():
    assert [ago(s) for s in (5, 60, 7200, 90000)] == [
        "less than a minute ago",
        "1 minute ago",
        "2 hours ago",
        "1 day ago",
    ]


@pytest.mark.slow
def test_a_crash_is_remembered_and_a_clean_end_is_not(open_studio, settings, window, qtbot):
    studio = open_studio
    files = Files(studio, window)
    studio.run_until(2)
    wait_for(qtbot, lambda: studio.state == "paused")
    assert RecentProjects(settings).projects()[0].running  # what a crash now would leave
    with qtbot.waitSignal(studio.closed, timeout=600_000):
        studio.shut_down()
    assert not files.recent.projects()[0].running
