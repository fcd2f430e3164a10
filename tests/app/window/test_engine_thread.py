"""The engine's thread on a run without kernels: what it does when it is to end or stop and cannot save."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import Future

import pytest

from app.window.engine_thread import EngineThread, settle
from app.window.inbox import Inbox
from engine.errors import ProjectError
from engine.optimize.messages import SetOption
from tests.engine.optimize.small_run import DrawStage, create, reopen

WRITE = "engine.optimize.session_live.write_checkpoint"
WAIT = 60.0  # seconds for what must come at once


class Driven:
    """An engine's thread, what it told, and a session that waits on it at a step."""

    def __init__(self, folder, qtbot) -> None:
        self._qtbot = qtbot
        self.folder, self.states, self.told = folder, [], []
        self.inbox = Inbox()
        hear = (self.states.append, lambda _session: None, lambda *what: self.told.append(what))
        self.engine = EngineThread(self.inbox, *hear, prepare_kernels=False)
        self.session = None

    def wait_at(self, step: int, **draw) -> None:
        """Have a run of four steps wait at one of them."""
        self.session = create(self.folder, checkpoint_seconds=1000, **({"steps": 4} | draw))
        self.session.run(until=step)
        settle(self.session, paused=True)
        self.on_thread(lambda: self.engine._adopt(self.session))

    def on_thread(self, job):
        """What `job()` returns on the engine's thread, where no other job comes in between."""
        future = Future()

        def run() -> None:
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

        self.engine.call(run)
        return future.result(WAIT)

    def until(self, state: str) -> None:
        """Hear what the thread tells until it says this."""
        self._qtbot.waitUntil(lambda: self.states[-1:] == [state], timeout=int(1000 * WAIT))


@pytest.fixture
def driven(qtbot, tmp_path):
    made = Driven(tmp_path / "run", qtbot)
    yield made
    made.engine.shut_down(save=False)
    made.engine.join(WAIT)
    made.inbox.close()


def raising(error: BaseException):
    def refuse(*_arguments, **_named):
        raise error

    return refuse


@pytest.mark.parametrize(
    "error", [ProjectError("full"), MemoryError(), RuntimeError("CUDA error"), OSError(errno.ENOSPC, "No space left")]
)
def test_whatever_kept_it_from_saving_is_said_and_it_goes_on(driven, monkeypatch, error):
    driven.wait_at(3)
    monkeypatch.setattr(WRITE, raising(error))
    driven.engine.shut_down(save=True)
    with pytest.raises(type(error)):
        driven.engine.join(WAIT)
    assert driven.on_thread(lambda: driven.session.paused) and driven.session.total_step == 3
    monkeypatch.undo()
    driven.engine.shut_down(save=True)
    assert driven.engine.join(WAIT)
    with reopen(driven.folder) as session:
        assert session.total_step == 3


def test_a_change_that_waits_for_the_same_full_disk_does_not_keep_it_silent(driven, monkeypatch):
    driven.wait_at(3)
    full = raising(ProjectError("full"))
    monkeypatch.setattr(WRITE, full)

    def change_and_end() -> None:
        settle(driven.session, paused=False)
        driven.session.record = full
        driven.session.queue(SetOption("draw.batch", 2))
        driven.engine.shut_down(save=True)

    driven.on_thread(change_and_end)
    with pytest.raises(ProjectError):
        driven.engine.join(WAIT)
    assert driven.on_thread(lambda: driven.session.paused) and not driven.session.half_done
    driven.inbox.deliver()
    assert driven.states[-1] == "failed" and "still in memory" in driven.told[0][0]


@pytest.mark.parametrize("half_done", [False, True])
def test_stop_after_an_error_holds_nothing_up_that_comes_later(driven, half_done):
    driven.wait_at(0)  # before the first stage, which reports progress and so can be stopped

    def fail() -> None:
        driven.session.half_done = half_done
        driven.engine._fail(ProjectError("full"))
        driven.engine.stop()

    driven.on_thread(fail)
    assert driven.on_thread(lambda: driven.session.context.cancelled() or driven.engine._interrupt.is_set()) is False
    if not half_done:
        driven.engine.go(until=2)
        driven.until("paused")
        assert driven.session.total_step == 2


def test_a_finished_run_that_could_not_be_saved_goes_on_from_an_earlier_checkpoint(driven, monkeypatch):
    driven.wait_at(2)
    monkeypatch.setattr(WRITE, raising(ProjectError("full")))
    driven.engine.go()
    driven.until("finished")
    assert driven.session.unsaved
    driven.engine.shut_down(save=True)
    with pytest.raises(ProjectError):
        driven.engine.join(WAIT)
    assert driven.on_thread(driven.session.context.cancelled) is False
    monkeypatch.undo()
    driven.engine.revert(None)
    driven.until("paused")
    driven.engine.go()
    driven.until("finished")
    assert driven.session.total_step == 4 and not driven.session.unsaved


def test_a_run_closed_while_a_stage_finishes_is_saved(driven, monkeypatch):
    driven.wait_at(3)
    inside, gate, finish = threading.Event(), threading.Event(), DrawStage.finish

    def slow(stage) -> None:
        inside.set()
        assert gate.wait(WAIT)
        stage.context.progress("draw", 0.5, "half")
        finish(stage)

    monkeypatch.setattr(DrawStage, "finish", slow)
    driven.engine.go()
    assert inside.wait(WAIT)
    driven.engine.shut_down(save=True)
    gate.set()
    assert driven.engine.join(WAIT)
    with reopen(driven.folder) as session:
        assert session.total_step == 4 and session.stage_name == "draw"


def test_half_a_step_is_not_closed_as_if_it_were_saved(driven):
    driven.wait_at(3)
    driven.on_thread(lambda: driven.engine.spoil(ProjectError("it broke")))
    driven.engine.shut_down(save=True)
    with pytest.raises(ProjectError, match="go on later from step 3"):
        driven.engine.join(WAIT)
    driven.engine.shut_down(save=False)
    assert driven.engine.join(WAIT)


@pytest.mark.parametrize("error", [ProjectError("full"), MemoryError()])
def test_a_run_given_up_for_another_says_what_could_not_be_saved(driven, monkeypatch, error):
    driven.wait_at(2)
    driven.engine.go(until=3)
    driven.until("paused")
    monkeypatch.setattr(WRITE, raising(error))
    driven.engine.drop()
    assert driven.on_thread(lambda: driven.engine.session is None)
    driven.inbox.deliver()
    assert len(driven.told) == 1 and f"{driven.folder} can go on from step 2" in driven.told[0][0]
