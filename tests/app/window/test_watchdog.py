"""The watchdog bites when the event loop is held, and only then."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer

from tests.app.window.watchdog import IDLE_LIMIT, LIMIT, Watchdog, slowness


def busy(seconds: float) -> None:
    """Keep the processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def heard(qtbot, slot, **named) -> Watchdog:
    """A watchdog, stopped, that watched while `slot` was called by the event loop."""
    dog, ended = Watchdog(**named), []
    QTimer.singleShot(20, lambda: ended.append(slot(dog)))
    qtbot.waitUntil(lambda: bool(ended), timeout=600_000)
    qtbot.wait(50)
    dog.stop()
    return dog


def test_it_says_who_held_the_event_loop(qtbot):
    def a_slow_slot(dog):
        busy(6 * LIMIT * slowness())
        while not dog._stack:  # the thread that looks may be late itself
            pass

    dog = heard(qtbot, a_slow_slot, patient=True)
    assert dog.late and any("a_slow_slot" in text for text in dog.late), dog.late


def test_it_hears_a_sleeping_slot_too(qtbot):
    dog = heard(qtbot, lambda _: time.sleep(0.4))
    assert dog.late and dog.worst > 0.3


def test_a_patient_one_leaves_short_waits_to_the_machine(qtbot):
    assert not heard(qtbot, lambda _: time.sleep(0.4 * IDLE_LIMIT), patient=True).late


def test_what_lies_between_enter_and_leave_is_watched(qtbot):
    dog = Watchdog(patient=True)
    for number in range(2):
        dog.enter()
        qtbot.wait(50)
        dog.leave()
        busy(6 * LIMIT * slowness())  # the test itself
        assert not dog.late, number
    dog.enter()
    busy(6 * LIMIT * slowness())  # no beat comes before the loop ends
    dog.leave()
    dog.stop()
    assert len(dog.late) == 1
