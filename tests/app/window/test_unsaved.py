"""A run whose folder is gone goes on, and the window says once that it cannot be saved."""

from __future__ import annotations

import os
import shutil

import pytest

from app.window.unsaved import UnsavedWarning
from engine.optimize.messages import Notice, Unsaved
from tests.app.window.conftest import wait_for


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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder in which a file is open")
def test_a_projects_folder_deleted_in_mid_run_is_said_in_the_dialog(window, open_studio, qtbot, shoot):
    studio, said = open_studio, []
    studio.message_received.connect(said.append)
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    studio.run_until(2)
    wait_for(qtbot, lambda: studio.state == "paused")
    shutil.rmtree(studio.project)
    studio.run()
    wait_for(qtbot, lambda: studio.state in ("finished", "failed"))
    wait_for(qtbot, lambda: any(isinstance(message, Unsaved) for message in said))
    assert studio.state == "finished" and not studio.problems and window.isVisible()
    assert window.errors.isVisible() and len(window.errors.problems) == 1
    assert "cannot be written" in window.errors.sentence.text() and "--" not in window.errors.sentence.text()
    shoot(window.errors, "unsaved")
    window.errors.close()
