"""Cycles of Qt objects die on the GUI thread, whichever thread makes objects meanwhile."""

from __future__ import annotations

import gc
import sys
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
    wait_for(qtbot, lambda: len(died) == 50)
    assert set(died) == {threading.main_thread().name}


def test_old_knots_die_though_hardly_anything_is_made(qapp, qtbot, monkeypatch):
    monkeypatch.setattr("app.window.garbage.OLD_SECONDS", 0.2)
    made, died = GuiGarbage(), []
    knot = Knot(died)
    gc.collect()
    gc.collect()  # it is among the old ones now
    del knot
    wait_for(qtbot, lambda: died)
    made.stop()


def test_many_new_objects_are_set_aside_only_where_modules_were_loaded(qapp, monkeypatch):
    """What is set aside never dies where it holds itself, as all that hangs on a run once did."""
    made, died = GuiGarbage(), []
    monkeypatch.setattr("app.window.garbage.IMPORTED", 1000)
    kept = [[] for _ in range(5000)]
    knot, before = Knot(died), gc.get_freeze_count()
    assert made.look() >= 0 and gc.get_freeze_count() <= before
    del knot
    gc.collect()
    assert died
    monkeypatch.setitem(sys.modules, "a_module_of_this_test", sys)
    kept += [[] for _ in range(5000)]
    assert made.look() == -1 and gc.get_freeze_count() >= before + 5000
    made.stop()
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # for the tests that come: the collector would look through all that those before have left


def test_the_collection_is_given_back(qapp):
    gc.enable()
    made = GuiGarbage()
    assert not gc.isenabled()
    made.stop()
    assert gc.isenabled()
    gc.disable()  # as the tests' own has it
