"""Functions of scripts that do not end by themselves: on the run's own thread, in a call, in a loss, while closing."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from app.scripting.interruption import Interrupted, ScriptWork
from app.scripting.worker import ScriptThread
from app.window import engine_leaving
from app.window.run_controls import RunControls
from app.window.script_driver import StudioDriver, WindowView
from engine.optimize.extra_losses import ExtraLosses
from tests.app.window.conftest import SECONDS, wait_for


class Script:
    """A script's thread that makes one call at a time and keeps what it raised."""

    def __init__(self, driver) -> None:
        self.driver, self.raised, self.ended = driver, None, threading.Event()
        self.inside = threading.Event()  # of the endless function
        self.thread = ScriptThread("unrender-test-script")

    def call(self, function) -> None:
        self.inside.clear()
        self.ended.clear()

        def job() -> None:
            try:
                self.driver.call_script(function)
            except BaseException as error:
                self.raised = type(error)
            self.ended.set()

        self.thread.put(job)
        assert self.inside.wait(SECONDS)

    def endless(self, *_arguments) -> None:
        self.inside.set()
        while True:
            pass


@pytest.fixture
def script(qtbot, open_studio):
    """A script beside a run that has begun and waits."""
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    studio.set_option("volume.steps", 1_000_000)
    widget = QWidget()
    qtbot.addWidget(widget)
    made = Script(StudioDriver(studio, widget))
    studio.run_until(2)
    wait_for(qtbot, lambda: studio.state == "paused")
    yield made
    made.thread.end(lambda: None)
    assert made.thread.join(SECONDS)


def test_an_interrupt_ends_an_endless_function_inside_a_call(script, open_studio):
    script.call(script.endless)
    assert script.thread.interrupt()
    assert script.ended.wait(SECONDS) and script.raised is KeyboardInterrupt
    assert open_studio.call(lambda session: session.total_step).result(SECONDS) == 2  # the run's thread is free again
    assert open_studio.state == "paused" and not open_studio.problems


def test_stop_ends_an_endless_function_inside_a_call(script, open_studio, qtbot):
    script.call(script.endless)
    open_studio.stop()
    wait_for(qtbot, script.ended.is_set)
    assert script.raised is KeyboardInterrupt
    assert open_studio.call(lambda session: session.total_step).result(SECONDS) == 2
    assert not open_studio.problems


def test_stop_can_be_pressed_while_a_function_holds_a_paused_run(script, open_studio, qtbot, shown):
    controls = shown(RunControls(open_studio), 1300, 44)
    assert not controls.buttons["stop"].isEnabled()
    script.call(script.endless)
    wait_for(qtbot, controls.buttons["stop"].isEnabled)
    assert "Stop ends it" in controls.stage_bar.text() and open_studio.state == "paused"
    qtbot.mouseClick(controls.buttons["stop"], Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: not controls.buttons["stop"].isEnabled())
    wait_for(qtbot, script.ended.is_set)
    assert script.raised is KeyboardInterrupt and controls.stage_bar.text() == "Paused in volume"
    assert open_studio.call(lambda session: session.total_step).result(SECONDS) == 2 and not open_studio.problems


def test_stop_ends_an_endless_function_that_a_script_gave_the_window(script, open_studio, qtbot):
    future = WindowView(open_studio, script.driver._view._widget).call(script.endless)
    assert script.inside.wait(SECONDS)
    wait_for(qtbot, lambda: open_studio.held)
    open_studio.stop()
    wait_for(qtbot, future.done)
    assert isinstance(future.exception(), KeyboardInterrupt)
    wait_for(qtbot, lambda: not open_studio.held and open_studio.state == "paused")


def test_a_step_interrupted_half_way_is_given_up_for_the_last_checkpoint(script, open_studio, qtbot):
    studio = open_studio
    assert studio.call(lambda session: session.checkpoint()).result(SECONDS) is not None

    def steps(session) -> None:
        session.stage.step = script.endless
        session.step()

    script.call(steps)
    assert script.thread.interrupt()
    wait_for(qtbot, lambda: studio.state == "failed" and studio.problems)
    assert "goes on from its last checkpoint" in studio.problems[0][0]
    studio.run_until(4)
    wait_for(qtbot, lambda: studio.state == "paused" and studio.session.total_step == 4)
    assert len(studio.problems) == 1


def test_stop_ends_an_endless_part_of_a_step_and_the_run_stays(script, open_studio, qtbot):
    studio, dropped = open_studio, []

    def replace(session) -> None:
        step, part = session.stage.step, studio.engine.scripts.ending(script.endless)

        def guarded(index: int):
            if not dropped:
                try:
                    part()
                except Interrupted as error:  # as ExtraLosses does
                    dropped.append(error)
            return step(index)

        session.stage.step = guarded

    studio.call(replace).result(SECONDS)
    studio.run()
    wait_for(qtbot, lambda: script.inside.is_set() and studio.state == "running")
    studio.stop()
    wait_for(qtbot, lambda: studio.state == "paused")
    assert len(dropped) == 1 and studio.session.total_step >= 3 and not studio.problems


def test_the_window_closes_although_a_function_never_ends(script, open_studio, qtbot, monkeypatch):
    monkeypatch.setattr(engine_leaving, "LEFT_BEHIND_SECONDS", 0.0)
    gate = threading.Event()

    def deaf(_session) -> None:
        script.inside.set()
        gate.wait()  # inside a library: no interrupt gets through

    script.call(deaf)
    try:
        with qtbot.waitSignal(open_studio.closed, timeout=int(1000 * SECONDS)):
            open_studio.shut_down(save=False)
        assert not gate.is_set()
    finally:
        gate.set()


def test_an_endless_loss_is_dropped_with_a_notice_when_interrupted():
    work, inside, told = ScriptWork(), threading.Event(), []

    def endless(image, photo) -> None:
        inside.set()
        while True:
            pass

    losses = ExtraLosses(told.append)
    losses.add("endless", work.ending(endless), 1.0)
    losses.add("good", work.ending(lambda image, photo: image.mean()), 2.0)
    view = SimpleNamespace(premultiplied=torch.zeros(4, 4, 3), alpha=torch.zeros(4, 4), share=1.0)
    found = []
    thread = threading.Thread(target=lambda: found.append(losses.of([torch.ones(4, 4, 4)], [view])))
    thread.start()
    assert inside.wait(SECONDS) and work.interrupt()
    thread.join(SECONDS)
    assert found[0][1] == {"good": 2.0} and losses.names == ("good",)
    assert "loss endless no longer counts" in told[0] and "was stopped" in told[0]


def test_an_interrupt_reaches_nothing_but_what_it_is_meant_for():
    work, mine, other = ScriptWork(), object(), object()
    assert not work.interrupt() and not work.busy

    def inside() -> list[bool]:
        return [work.busy, work.interrupt(other), work.interrupt(mine, after=1e9)]

    assert work.run(inside, mine) == [True, False, False]
    assert not work.busy and not work.interrupt(mine)
    with pytest.raises(KeyboardInterrupt):
        work.run(lambda: [work.interrupt(mine), sum(range(10))], mine)
    assert not work.busy
