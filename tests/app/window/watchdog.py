"""A watchdog on the Qt event loop: says when it was held, for how long, and by what."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import traceback
from collections import deque

from PySide6.QtCore import QObject, Qt, QTimer

BEAT_MS = 5
LIMIT = 0.1  # seconds
IDLE_LIMIT = 0.5  # seconds, where other threads or the disk were waited for and the machine decides how long that takes
SHARED = 2.0  # times as long as alone may take what shares caches and cores with other programs
LOOP_SECONDS = 0.0055  # of `_loop` on the machine that LIMIT is meant for


def slowness() -> float:
    """How much longer than on the machine that LIMIT is meant for Python's work takes here and now, at least 1."""
    return max(1.0, min(_loop() for _ in range(4)) / LOOP_SECONDS)


def _loop() -> float:
    """Processor seconds of a fixed piece of work."""
    began, total = time.thread_time(), 0
    for number in range(100_000):
        total += number * number % 7
    return time.thread_time() - began


def waited(task: int | str) -> float:
    """Seconds that a thread was ready to run and other threads had the processors; 0 where the system does not say."""
    try:
        with open(f"/proc/self/task/{task}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0


def all_waited() -> dict[str, float]:
    """`waited` of every thread of this process; empty where the system does not say."""
    try:
        return {task: waited(task) for task in os.listdir("/proc/self/task")}
    except OSError:
        return {}


class Watchdog(QObject):
    """A timer beats in the GUI thread; a sampler thread looks at that thread's stack whenever a beat is late.

    Time in which the GUI thread could have gone on, but other programs had the processors, is taken off: that says
    nothing about the window. A `patient` one, for tests on any machine under any load, calls late what took the GUI
    thread's own processor time, measured against how slow the machine is, and other waiting only beyond IDLE_LIMIT,
    less the time in which any thread of this process, which may have held the interpreter, was kept from running.

    It watches all the time, or between `enter` and `leave` once either was called.
    """

    def __init__(self, limit: float = LIMIT, patient: bool = False) -> None:
        super().__init__()
        self.limit, self.patient = limit, patient
        self.worst = 0.0  # seconds; of the processor for a patient one
        self.late: list[str] = []  # one text per late beat: seconds and the stack at that time
        self._gui = threading.get_ident()
        self._frames: list = []  # looked at; given up on the GUI thread only, whose Qt objects they may hold last
        self._stack = ""
        self._task = threading.get_native_id()
        self._depth = 1  # calls of `enter` that have not been left
        self._always = True
        self._history = deque([(0.0, all_waited())], maxlen=400)  # (time, all_waited())
        self._restart()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._timer.start()
        self._running = True
        self._sampler = threading.Thread(target=self._sample, name="watchdog", daemon=True)
        self._sampler.start()

    def enter(self) -> None:
        """The event loop, or what a click does, begins."""
        if self._always:
            self._always, self._depth = False, 0
        self._depth += 1
        if self._depth == 1:
            self._restart()

    def leave(self) -> None:
        """It has ended: what the test does itself is not watched."""
        if self._depth == 1:
            self._judge()
        self._depth -= 1

    def forgive(self) -> None:
        """Forget everything up to now, such as the first painting of a window."""
        self._restart()
        self.late.clear()
        self.worst = 0.0

    def skip(self) -> None:
        """Do not count the time since the last beat; of no effect on another thread."""
        if threading.get_ident() == self._gui:
            self._restart()

    def stop(self) -> None:
        """End the sampler."""
        self._running = False
        self._timer.stop()
        self._sampler.join()
        self._frames.clear()

    def _beat(self) -> None:
        self._frames.clear()
        if self._depth:
            self._judge(BEAT_MS / 1000)
        self._restart()

    def _judge(self, due: float = 0.0) -> None:
        worked, held = time.thread_time() - self._worked, time.perf_counter() - self._last - due
        own = worked
        if held > self.limit:
            own = max(worked, held - (waited(self._task) - self._waited))
        found = worked if self.patient else own
        self.worst = max(self.worst, found)
        late = found > self.limit
        if self.patient and (late or own > IDLE_LIMIT):
            allowed, idle = SHARED * slowness(), held - self._all_waited_since()
            late = worked > self.limit * allowed or max(worked, idle) > IDLE_LIMIT * allowed
            found = max(worked, idle)
        if late:
            words = f"held for {1000 * found:.0f} ms, {1000 * worked:.0f} ms of them at work"
            self.late.append(f"{words}\n{self._stack or 'another thread held the interpreter'}")

    def _restart(self) -> None:
        self._stack, self._waited = "", waited(self._task)
        self._last, self._worked = time.perf_counter(), time.thread_time()

    def _all_waited_since(self) -> float:
        """Seconds that this process's threads, all together, were kept from running since the last beat."""
        before = {}
        for when, entry in list(self._history):
            if when <= self._last:
                before = entry
        if not before:  # the system does not say, so that nothing can be held against the window
            return math.inf
        return sum(max(0.0, seconds - before.get(task, 0.0)) for task, seconds in all_waited().items())

    def _sample(self) -> None:
        looked = 0.0
        while self._running:
            time.sleep(BEAT_MS / 1000)
            now = time.perf_counter()
            if self.patient and now > looked + 0.02:
                looked = now
                self._history.append((now, all_waited()))
            held = [sys._current_frames().get(self._gui)]
            if self._depth and now - self._last > self.limit / 2 and not self._stack:
                self._stack = "".join(traceback.format_stack(held[0])[-12:])
            self._frames.append(held.pop())
