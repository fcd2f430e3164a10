"""A watchdog on the Qt event loop: says when it was held, for how long, and by what."""

from __future__ import annotations

import sys
import threading
import time
import traceback

from PySide6.QtCore import QObject, Qt, QTimer

BEAT_MS = 5
LIMIT = 0.1  # seconds
INSIDE = ("pytestqt", "<event loop>")  # files of frames below which Qt runs


def waited(task: int) -> float:
    """Seconds that a thread was ready to run and other threads had the processors; 0 where the system does not say."""
    try:
        with open(f"/proc/self/task/{task}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0


class Watchdog(QObject):
    """A timer beats in the GUI thread; a sampler thread looks at that thread's stack whenever a beat is late.

    Only time inside the event loop (or a click) counts, not what the test itself does. Time in which the GUI thread
    could have gone on, but other programs had the processors, is taken off: that says nothing about the window.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        super().__init__()
        self.limit = limit
        self.worst = 0.0
        self.late: list[str] = []  # one text per late beat: seconds and the stack at that time
        self._gui = threading.get_ident()
        self._frames: list = []  # looked at; given up on the GUI thread only, whose Qt objects they may hold last
        self._stack = ""
        self._task = threading.get_native_id()
        self._waited = waited(self._task)
        self._last = self._outside = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._timer.start()
        self._running = True
        self._sampler = threading.Thread(target=self._sample, name="watchdog", daemon=True)
        self._sampler.start()

    def forgive(self) -> None:
        """Forget everything up to now, such as the first painting of a window."""
        self._restart(time.perf_counter())
        self.late.clear()
        self.worst = 0.0

    def stop(self) -> None:
        """End the sampler."""
        self._running = False
        self._timer.stop()
        self._sampler.join()
        self._frames.clear()

    def _beat(self) -> None:
        now = time.perf_counter()
        held = now - max(self._last, self._outside) - BEAT_MS / 1000
        if held > self.limit:
            held -= waited(self._task) - self._waited
        self._frames.clear()
        self.worst = max(self.worst, held)
        if held > self.limit:
            self.late.append(f"held for {1000 * held:.0f} ms\n{self._stack or 'another thread held the interpreter'}")
        self._restart(now)

    def _restart(self, now: float) -> None:
        self._last, self._stack, self._waited = now, "", waited(self._task)

    def _sample(self) -> None:
        while self._running:
            time.sleep(BEAT_MS / 1000)
            now = time.perf_counter()
            held = [sys._current_frames().get(self._gui)]
            lines = traceback.format_stack(held[0])
            self._frames.append(held.pop())
            if not any(part in line for line in lines for part in INSIDE):
                self._outside = now
            elif now - max(self._last, self._outside) > self.limit / 2 and not self._stack:
                self._stack = "".join(lines[-12:])
