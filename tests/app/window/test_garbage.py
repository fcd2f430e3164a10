"""Cycles of Qt objects die on the GUI thread, whichever thread makes objects meanwhile."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtCore import QObject

from app.window.garbage import YOUNG, GuiGarbage
from tests.app.window.conftest import wait_for


class Knot(QObject):
    """An object that holds itself, and tells where it died."""

    def __init__(self, died: list[str]) -> None:
        super().__init__()
        self.me = self
        weakref.finalize(self, lambda: died.append(threading.current_thread().name))


def test_knots_die_on_the_gui_thread(garbage, qtbot):
    died: list[str] = []
    kept = []

    def make_objects() -> None:
        kept.extend([] for _ in range(4 * YOUNG))

    for _ in range(50):
        Knot(died)
    worker = threading.Thread(target=make_objects, name="worker")
    worker.start()
    worker.join()
    assert not died and not gc.isenabled()
    wait_for(qtbot, lambda: len(died) == 50, 10)
    assert set(died) == {threading.main_thread().name}


def test_the_collection_is_given_back(qapp):
    gc.enable()
    made = GuiGarbage()
    assert not gc.isenabled()
    made.stop()
    assert gc.isenabled()
    gc.disable()  # as the tests' own has it
