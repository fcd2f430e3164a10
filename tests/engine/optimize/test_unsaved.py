"""A run whose folder goes or whose disk is full: what was computed stays, and can be saved and gone on with."""

from __future__ import annotations

import shutil
import time

import pytest
import torch

from engine.errors import ProjectError
from engine.optimize.messages import Notice, Progress
from engine.optimize.project import LOCK
from engine.optimize.project_move import move_session
from tests.engine.optimize.small_run import DrawStage, LateStage, create, reopen, result, uninterrupted


def test_a_folder_taken_away_is_made_anew_so_that_it_can_be_resumed(tmp_path):
    expected, heard = uninterrupted(tmp_path / "a", steps=30), []
    with create(tmp_path / "b", checkpoint_seconds=1000, steps=30) as session:
        session.run(heard.append, until=10)
        (tmp_path / "b").rename(tmp_path / "away")
        session.run(until=20)
        assert session.checkpoint_step == 20 and not session.unsaved
        with pytest.raises(ProjectError, match="already runs"):
            reopen(tmp_path / "b")
    texts = [message.text for message in heard if isinstance(message, Notice)]
    assert sum("is made anew" in text for text in texts) == 1
    with reopen(tmp_path / "b") as session:
        assert session.total_step == 20 and session.run()
        assert torch.equal(result(session), expected)
    with reopen(tmp_path / "away") as session:
        assert session.total_step == 10


def test_a_drive_that_goes_leaves_no_folder_in_its_place(tmp_path):
    drive = tmp_path / "drive"
    drive.mkdir()
    with create(drive / "a", steps=30) as session:
        session.run(until=10)
        shutil.rmtree(drive)
        session.checkpoint_or_notice()
        assert session.unsaved and session.checkpoint_step == 10 and not drive.exists()
        drive.mkdir()
        session.checkpoint()
        assert not session.unsaved
    with reopen(drive / "a") as session:
        assert session.total_step == 10


def full(*_) -> None:
    raise ProjectError("the disk is full")


def test_work_without_steps_that_a_full_disk_ended_begins_again_from_memory(tmp_path, monkeypatch):
    expected = uninterrupted(tmp_path / "a", steps=5)
    with create(tmp_path / "b", steps=5) as session:
        monkeypatch.setattr("engine.optimize.session_live.write_checkpoint", full)
        finish = LateStage.finish

        def refused(stage) -> None:
            finish(stage)  # draws random numbers
            full()

        monkeypatch.setattr(LateStage, "finish", refused)
        with pytest.raises(ProjectError, match="full"):
            session.run()
        assert session.unsaved and not session.half_done and session.stage_name == "test-late"
        monkeypatch.undo()
        assert session.checkpoint() is not None and not session.unsaved
        assert session.run() and torch.equal(result(session), expected)


def test_a_step_that_an_error_left_half_done_is_known_as_such(tmp_path, monkeypatch):
    with create(tmp_path / "a", steps=5) as session:
        session.run(until=2)
        monkeypatch.setattr(session.stage, "step", full)
        with pytest.raises(ProjectError):
            session.step()
        assert session.half_done
        session.revert()
        assert not session.half_done and session.total_step == 2 and session.run()


@pytest.mark.parametrize(("kind", "name"), [(DrawStage, "draw"), (LateStage, "test-late")])
def test_a_stage_stopped_as_it_finishes_is_whole_and_finishes_again(tmp_path, monkeypatch, kind, name):
    finish = kind.finish

    def slow(stage) -> None:
        scene = stage.context.scene
        scene.tensors["x"] = scene.tensors.get("x", torch.zeros(7)) + torch.randn(7)
        stage.context.progress(name, 0.5, "half")
        x = scene.tensors["x"]
        finish(stage)
        scene.tensors["x"] = scene.tensors["x"] + x

    monkeypatch.setattr(kind, "finish", slow)
    expected = uninterrupted(tmp_path / "a", steps=5)
    with create(tmp_path / "b", checkpoint_seconds=1000, steps=5) as session:

        def stop(message) -> None:
            if isinstance(message, Progress) and message.stage == name:
                session.request_stop()

        assert not session.run(stop)
        assert session.stage_name == name and session.total_step == 5 and not session.half_done
        session.on_message = None
        assert not session.run(until=0)  # saves it
    with reopen(tmp_path / "b") as session:
        assert session.total_step == 5 and session.run()
        assert torch.equal(result(session), expected)


def test_a_run_that_moved_knows_where_it_was_last_saved(tmp_path):
    with create(tmp_path / "a", checkpoint_seconds=1000, steps=30) as session:
        session.run(until=3)
        session.step()
        shutil.copytree(tmp_path / "a", tmp_path / "b", ignore=shutil.ignore_patterns(LOCK))
        move_session(session, tmp_path / "b", time.time())
        assert session.checkpoint_step == 4
        session.step()
        session.revert()
        assert session.total_step == 4
