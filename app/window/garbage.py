"""Python's garbage collection on the GUI thread only: cycles hold Qt objects, which must not die on another thread."""

from __future__ import annotations

import gc
import sys
import time

from PySide6.QtCore import QObject, QTimer

PERIOD_MS = 100
YOUNG, MIDDLE, OLD = 700, 10, 10  # as Python's own thresholds: new objects, then collections of the generation below
OLD_SECONDS = 60.0  # after which old objects are due in any case
OLD_SHARE = 0.002  # of the time that may go into that
LONG_SECONDS = 0.03  # of a collection, after which what modules have brought since is set aside as well
IMPORTED = 20_000  # as many new objects at a time, with new modules, stay; looking at them would hold the window up


class GuiGarbage(QObject):
    """Takes over from the automatic collection, which runs on whichever thread makes an object, until `stop`.

    The engine thread would otherwise delete timers and graphics items while the window uses them, which crashes.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._was_enabled = gc.isenabled()
        gc.disable()
        gc.freeze()
        self._modules = len(sys.modules)  # at the last freezing
        self._old_due = time.monotonic() + OLD_SECONDS
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> int:
        """Collect the generation that is due; which it was, -1 for none."""
        young, middle, old = gc.get_count()
        if young > IMPORTED and len(sys.modules) > self._modules:
            self._set_aside()
            return -1
        now = time.monotonic()
        if now < self._old_due and young < YOUNG:
            return -1
        due = now >= self._old_due or (middle >= MIDDLE and old >= OLD)
        generation = 2 if due else 0 if middle < MIDDLE else 1
        began = time.thread_time()
        gc.collect(generation)
        if generation == 2:
            self._looked_at_all(time.thread_time() - began)
        return generation

    def _looked_at_all(self, seconds: float) -> None:
        self._old_due = time.monotonic() + max(OLD_SECONDS, seconds / OLD_SHARE)
        if seconds > LONG_SECONDS and len(sys.modules) > self._modules:
            self._set_aside()

    def _set_aside(self) -> None:
        """Never look again at what there is now. What holds itself then never dies, so this ends with the imports."""
        self._modules = len(sys.modules)
        gc.freeze()

    def stop(self) -> None:
        """Give the collection back to Python."""
        self._timer.stop()
        if self._was_enabled:
            gc.enable()
