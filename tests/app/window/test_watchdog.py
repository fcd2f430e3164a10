"""The watchdog bites when the event loop is held, and only then."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer

from tests.app.window.watchdog import Watchdog


def test_it_says_who_held_the_event_loop(qtbot):
    dog = Watchdog()

    ended = []

    def a_slow_slot():
        until = time.thread_time() + 0.25
        while time.thread_time() < until:
            pass
        ended.append(True)

    QTimer.singleShot(20, a_slow_slot)
    qtbot.waitUntil(lambda: bool(ended), timeout=20000)
    qtbot.wait(50)
    dog.stop()
    assert len(dog.late) == 1 and "a_slow_slot" in dog.late[0], dog.late


def test_it_hears_a_sleeping_slot_too(qtbot):
    dog = Watchdog()
    QTimer.singleShot(20, lambda: time.sleep(0.25))
    qtbot.wait(400)
    dog.stop()
    assert len(dog.late) == 1 and dog.worst > 0.15


def test_it_keeps_quiet_while_the_loop_runs_and_the_test_works(qtbot):
    dog = Watchdog()
    qtbot.wait(100)
    time.sleep(0.3)
    qtbot.wait(100)
    dog.stop()
    assert not dog.late
