"""How the engine thread is made to leave what it does: scripts that do not end, and the end of the program."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.scripting.interruption import ScriptWork

if TYPE_CHECKING:
    from engine.optimize.session import Session

PATIENCE_SECONDS = 1.0  # with a script's function, when the thread is to leave what it does
LEFT_BEHIND_SECONDS = 5.0  # after which the window closes, although such a function does not end
POLL_SECONDS = 0.1


class Leaving:
    """The part of the EngineThread that other threads urge and wait by."""

    session: Session | None
    scripts: ScriptWork
    _jobs: queue.SimpleQueue[Callable[[], None]]
    _urged: float | None
    _interrupt: threading.Event
    _refusal: BaseException | None
    _thread: threading.Thread
    _end: Callable[[bool], None]

    def shut_down(self, save: bool) -> None:
        """End the thread, with a checkpoint of this moment or without; it stays where that cannot be written."""
        self._urge()
        self._jobs.put(lambda: self._end(save))

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread's end; whether it came. A script's function that does not end is left behind.

        Raises what kept the thread from saving: then it goes on.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while self._thread.is_alive():
            self._thread.join(POLL_SECONDS)
            self.look()
            if self._refusal is not None:
                refusal, self._refusal = self._refusal, None
                raise refusal
            now, urged = time.monotonic(), self._urged
            late = urged is not None and self.scripts.busy and now > urged + LEFT_BEHIND_SECONDS
            if self._thread.is_alive() and (late or (until is not None and now > until)):
                return False
        return True

    def look(self) -> None:
        """Interrupt a script's function that keeps the thread from leaving what it does; to be called now and then."""
        urged = self._urged
        if urged is not None and time.monotonic() > urged + PATIENCE_SECONDS:
            self.scripts.interrupt(after=PATIENCE_SECONDS)

    @property
    def held(self) -> bool:
        """Whether a script's function has kept the thread for some time."""
        return self.scripts.seconds > PATIENCE_SECONDS

    def _urge(self) -> None:
        self._interrupt.set()
        if self.session is not None:
            self.session.request_stop()
        if self._urged is None:
            self._urged = time.monotonic()

    def _forget_stop(self) -> None:
        """What the thread was urged to leave is left: work to come must not be cancelled."""
        self._interrupt.clear()
        self.session.forget_stop()
