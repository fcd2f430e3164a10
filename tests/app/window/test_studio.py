"""The studio alone drives a tiny run from open to finished, and survives what goes wrong."""

from __future__ import annotations

import shutil
import threading
import weakref
from functools import partial

import pytest

from app.window import engine_thread
from app.window.waiting import result_of
from engine.errors import ProjectError
from engine.optimize.calls import Call
from engine.optimize.commands import CommandQueue
from engine.optimize.messages import EvalReport, Notice, StageChanged
from tests.app.window.conftest import SECONDS, wait_for


@pytest.fixture
def heard(studio):
    """Everything the studio says: steps and other messages."""
    said = {"steps": [], "messages": []}
    studio.steps_reported.connect(said["steps"].extend)
    studio.message_received.connect(said["messages"].append)
    return said


def test_a_folder_opens_with_photos_and_a_report(open_studio):
    assert len(open_studio.capture.frames) == 10
    assert not open_studio.doctor.problems and open_studio.session is None


@pytest.mark.slow
def test_a_run_goes_from_open_to_finished(open_studio, heard, qtbot):
    studio, states = open_studio, []
    studio.state_changed.connect(states.append)
    studio.run()
    wait_for(qtbot, lambda: studio.state in ("finished", "failed"))
    assert not studio.problems, studio.problems
    assert states[0] == "running" and states[-1] == "finished"
    assert [report.total_step for report in heard["steps"] if report.steps][-1] == 90
    kinds = [message.stage for message in heard["messages"] if isinstance(message, StageChanged)]
    assert list(dict.fromkeys(kinds)) == studio.stages
    assert any(isinstance(message, EvalReport) for message in heard["messages"])
    assert (studio.project / "exports" / "asset.glb").exists() and studio.project.parent.name == "projects"
    assert studio.snapshot is not None and studio.snapshot.mesh is not None


@pytest.mark.slow
def test_pause_step_until_stop_and_revert(open_studio, heard, qtbot):
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    studio.set_option("volume.steps", 1_000_000)
    studio.set_option("run.checkpoint_seconds", 1_000_000)  # only what `stop` writes
    studio.run_until(5)
    wait_for(qtbot, lambda: studio.state == "paused")
    session = studio.session
    assert session.total_step == 5
    studio.step_once()
    wait_for(qtbot, lambda: session.total_step == 6 and studio.state == "paused")
    assert studio.call(lambda s: s.total_step).result(SECONDS) == 6  # calls are served while paused
    studio.run()
    wait_for(qtbot, lambda: session.total_step > 12)
    studio.pause()
    wait_for(qtbot, lambda: studio.state == "paused")
    studio.stop()
    wait_for(qtbot, lambda: any(isinstance(m, Notice) and "everything is saved" in m.text for m in heard["messages"]))
    saved = session.total_step
    studio.run_until(saved + 3)
    wait_for(qtbot, lambda: studio.state == "paused" and session.total_step == saved + 3)
    studio.revert()
    wait_for(qtbot, lambda: session.total_step == saved and studio.state == "paused")
    assert not studio.problems


@pytest.mark.slow
def test_options_change_in_mid_run_where_they_may(open_studio, heard, qtbot):
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    studio.run_until(3)
    wait_for(qtbot, lambda: studio.state == "paused")
    assert studio.set_option("volume.learning_rate", 0.05)
    wait_for(qtbot, lambda: studio.session.recipe.volume.learning_rate == 0.05)
    studio.undo_stack.undo()
    wait_for(qtbot, lambda: studio.session.recipe.volume.learning_rate == 0.1)
    may, why = studio.changeable("hull.resolution")
    assert not may and "The stage Hull has begun" in why
    assert not studio.set_option("hull.resolution", 32) and studio.recipe.hull.resolution == 24
    assert any(isinstance(m, Notice) and "Hull › Resolution stays" in m.text for m in heard["messages"])
    studio.exclude(studio.capture.train[0])
    wait_for(qtbot, lambda: studio.excluded == {studio.capture.train[0]})


def test_a_folder_without_images_is_said_and_nothing_breaks(studio, tmp_path, qtbot):
    with qtbot.waitSignal(studio.failed, timeout=600_000) as told:
        studio.open(tmp_path)
    assert "holds no camera poses" in told.args[0] and studio.state == "empty"
    with qtbot.waitSignal(studio.failed, timeout=600_000) as told:
        studio.open(tmp_path / "nowhere")
    assert "there is no such folder" in told.args[0]


@pytest.mark.slow
def test_photos_that_go_in_mid_run_end_it_in_a_sentence_and_nothing_is_lost(studio, tiny_capture, tmp_path, qtbot):
    folder = shutil.copytree(tiny_capture, tmp_path / "copy")
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "ready")
    studio.set_option("run.evaluate", False)
    studio.run_until(3)
    wait_for(qtbot, lambda: studio.state == "paused")
    away = folder.rename(tmp_path / "away")
    studio.call(lambda session: session.capture._cache.clear())
    studio.run()
    wait_for(qtbot, lambda: studio.problems and studio.state == "failed")  # at the next stage, which reads them anew
    assert "photo_" in studio.problems[0][0] and "Traceback" in studio.problems[0][1]
    step = studio.session.total_step
    studio.run()  # tries again from the checkpoint, and says again what is missing
    wait_for(qtbot, lambda: len(studio.problems) > 1 and studio.state == "failed")
    away.rename(folder)
    studio.run_until(step + 1)
    wait_for(qtbot, lambda: studio.state == "paused" and studio.session.total_step == step + 1)
    assert len(studio.problems) == 2


@pytest.mark.slow
def test_another_capture_can_be_opened_while_a_run_goes_on(open_studio, tiny_capture, heard, qtbot):
    studio = open_studio
    studio.set_option("volume.steps", 2000)
    studio.run()
    wait_for(qtbot, lambda: heard["steps"])
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    qtbot.wait(300)
    assert studio.session is None and studio.state == "ready" and not studio.problems


def test_memory_goes_back_to_the_system_when_a_stage_ends(open_studio, qtbot, monkeypatch):
    returned = []
    monkeypatch.setattr(engine_thread, "MEMORY_SECONDS", float("inf"))
    monkeypatch.setattr(engine_thread, "return_memory", lambda: returned.append(True))
    open_studio.set_option("stages", ["hull", "volume"])
    open_studio.run_until(2)
    wait_for(qtbot, lambda: open_studio.state == "paused")
    assert len(returned) == 1 and open_studio.session.total_step == 2  # after the hull
    open_studio.new_run()
    wait_for(qtbot, lambda: len(returned) == 2)  # with what the run held


def test_background_work_that_fails_keeps_nothing_alive(studio, qtbot, no_collector):
    class Photos:
        pass

    photos, heard = Photos(), []
    kept = weakref.ref(photos)

    def work(handle, photos=photos):
        return len(photos)  # raises

    studio.background("", work, failed=lambda error: heard.append(str(error)))
    del photos, work
    wait_for(qtbot, lambda: heard)
    wait_for(qtbot, lambda: kept() is None)


def test_a_call_that_fails_keeps_no_run_alive(studio, qtbot, no_collector):
    class Run:
        pass

    def fails(run):
        raise ProjectError("this cannot be saved") from OSError("no space")

    run, heard = Run(), []
    kept, commands, call = weakref.ref(run), CommandQueue(run), Call(fails)
    commands.put(call)
    commands.wait()
    work = partial(result_of, call.future)
    studio.background("Saving", work, failed=lambda error: heard.append(str(error)))
    del run, call, work
    wait_for(qtbot, lambda: heard)
    wait_for(qtbot, lambda: kept() is None)
    assert heard == ["this cannot be saved"]


def test_what_asks_for_work_after_the_end_gets_none(studio):
    called = []
    studio.close()
    assert studio.background("Too late", lambda handle: called.append(True)).cancelled and not called


def test_background_work_reports_is_cancelled_and_fails_in_words(studio, qtbot):
    shown = []
    studio.busy_changed.connect(lambda label, done: shown.append((label, done)))

    def work(handle):
        while True:
            handle.report(0.5, "half")
            threading.Event().wait(0.01)

    failures = []
    studio.background("Counting", work, failed=failures.append)
    wait_for(qtbot, lambda: ("Counting: half", 0.5) in shown)
    studio.cancel_background()
    wait_for(qtbot, lambda: failures and shown[-1] == ("", -1.0))
    with qtbot.waitSignal(studio.failed, timeout=600_000) as told:
        studio.background("Dividing", lambda handle: 1 // 0)
    assert "division" in told.args[0] and "Traceback" in told.args[1]
