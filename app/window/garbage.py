"""Python's garbage collection on the GUI thread only: cycles hold Qt objects, which must not die on another thread."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

PERIOD_MS = 100
YOUNG, MIDDLE, OLD = 700, 10, 10  # as Python's own thresholds: new objects, then collections of the generation below
IMPORTED = 20_000  # as many new objects at a time come from imports and stay; looking at them would hold the window up


class GuiGarbage(QObject):
    """Takes over from the automatic collection, which runs on whichever thread makes an object, until `stop`.

    The engine thread would otherwise delete timers and graphics items while the window uses them, which crashes.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._was_enabled = gc.isenabled()
        gc.disable()
        gc.freeze()
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> int:
        """Collect the generation that is due; which it was, -1 for none."""
        young, middle, old = gc.get_count()
        if young < YOUNG:
            return -1
        if young > IMPORTED:
            gc.freeze()
            return -1
        generation = 0 if middle < MIDDLE else 1 if old < OLD else 2
        gc.collect(generation)
        return generation

    def stop(self) -> None:
        """Give the collection back to Python."""
        self._timer.stop()
        if self._was_enabled:
            gc.enable()
