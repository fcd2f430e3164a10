"""Functions that run between steps on the stepping thread: whenever, in order, and never left waiting."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest
import torch

from engine.optimize.messages import Pause, SetOption, StepReport
from engine.optimize.session import Session
from tests.engine.optimize.small_run import create, result

WAIT = 120  # seconds, only when something is broken


def test_calls_run_between_steps_and_return_their_result(tmp_path):
    with create(tmp_path / "a", steps=30) as session:
        future = session.call(lambda session: (session.total_step, threading.get_ident()))
        session.step()
        assert future.result(0) == (0, threading.get_ident())


def test_calls_and_commands_keep_their_order(tmp_path):
    with create(tmp_path / "a", steps=30) as session:
        session.run(until=3)
        before = session.call(lambda session: session.recipe.draw.batch)
        session.queue(SetOption("draw.batch", 2))
        after = session.call(lambda session: session.recipe.draw.batch)
        session.step()
        assert (before.result(0), after.result(0)) == (4, 2)


def test_what_a_call_raises_goes_to_its_future_and_the_run_goes_on(tmp_path):
    with create(tmp_path / "a", steps=5) as session:
        failed, interrupted = session.call(lambda session: 1 / 0), session.call(_interrupt)
        assert session.run()
        with pytest.raises(ZeroDivisionError):
            failed.result(0)
        with pytest.raises(KeyboardInterrupt):
            interrupted.result(0)


def _interrupt(session: Session) -> None:
    raise KeyboardInterrupt


def test_calls_run_while_paused_and_while_nothing_runs(tmp_path):
    with create(tmp_path / "a", steps=5) as session:
        session.queue(Pause())
        driver = threading.Thread(target=session.run)
        driver.start()
        assert session.call(lambda session: session.paused).result(WAIT)
        session.call(lambda session: session.queue(Pause(False))).result(WAIT)
        driver.join(WAIT)
        assert session.finished
        future = session.call(lambda session: session.finished)
        session.serve(0.0)
        assert future.result(0)


def test_a_call_inside_a_call_does_not_wait_for_itself(tmp_path):
    with create(tmp_path / "a", steps=5) as session:

        def ask(session: Session) -> int:
            return session.call(lambda session: session.total_step).result(WAIT)

        def step_and_ask(session: Session) -> tuple[int, int]:
            before, waiting = ask(session), session.call(ask)
            session.step()
            return before, waiting.result(0) + ask(session)

        future = session.call(step_and_ask)
        session.run(until=2)
        assert future.result(0) == (0, 0)


def test_closing_cancels_the_calls_that_wait(tmp_path):
    session = create(tmp_path / "a", steps=5)
    waiting, cancelled = session.call(lambda session: 1), session.call(lambda session: 2)
    cancelled.cancel()
    session.close()
    late = session.call(lambda session: 3)
    for future in (waiting, cancelled, late):
        with pytest.raises(CancelledError):
            future.result(0)


def test_calls_that_only_look_change_no_bit(tmp_path):
    with create(tmp_path / "a", steps=25) as session:
        session.run()
        expected = result(session)
    with create(tmp_path / "b", steps=25) as session:
        session.preview_seconds = 0.0

        def look(message) -> None:
            if isinstance(message, StepReport):
                session.call(lambda session: session.snapshot_now())

        session.run(look)
        assert torch.equal(result(session), expected)
