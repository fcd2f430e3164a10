"""A thread that runs what a person types or a file holds, one piece after the other, and can be interrupted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from app.scripting.interruption import raise_in


class ScriptThread:
    """Python code on it is interrupted by a KeyboardInterrupt between two of its instructions; a call that blocks
    inside a library ends first. The program's end does not wait for it."""

    def __init__(self, name: str = "unrender-console") -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._guard = threading.Lock()  # an interrupt hits the job that it was meant for, and nothing after it
        self._interruptible = False
        self._last: Callable[[], None] | None = None  # set once it is to end
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], None]) -> None:
        """Run `job` after those before it; it does its own catching."""
        self._jobs.put(job)

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._interruptible

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended."""
        return self._thread.is_alive()

    def interrupt(self) -> bool:
        """Raise KeyboardInterrupt in what runs; whether something ran."""
        with self._guard:
            if self._interruptible:
                raise_in(self._thread.ident, KeyboardInterrupt)
            return self._interruptible

    def end(self, last: Callable[[], None]) -> None:
        """Interrupt what runs, forget what waits, run `last` and end."""
        self._last = last
        self.interrupt()
        self._jobs.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the end; whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            try:
                job = self._jobs.get()
                if self._last is None:
                    self._run(job)
                elif job is None:
                    self._last()
                    return
            except KeyboardInterrupt:  # it came a moment too late
                pass

    def _run(self, job: Callable[[], None]) -> None:
        self._interruptible = True
        try:
            job()
        finally:
            with self._guard:
                self._interruptible = False
                raise_in(self._thread.ident, None)
