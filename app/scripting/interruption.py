"""Functions of scripts on a thread that does other work too: they can be interrupted there, and nothing else is."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """A function of a script was ended because it did not end by itself."""


class ScriptWork:
    """`run` is for the one thread that does the work, `interrupt` for every other one.

    An interrupt comes between two instructions of Python; a call that blocks inside a library ends first.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # an interrupt hits what it was meant for, and nothing after it
        self._owners: list[Any] = []  # of what runs, one within the other
        self._thread, self._since = 0, 0.0

    @property
    def busy(self) -> bool:
        """Whether a script's function runs."""
        return bool(self._owners)

    @property
    def seconds(self) -> float:
        """For how long a script's function has run; 0 where none does."""
        return time.monotonic() - self._since if self._owners else 0.0

    def run(self, function: Callable[[], T], owner: Any = None) -> T:
        """`function()`, in which `interrupt` raises KeyboardInterrupt."""
        depth = len(self._owners)
        try:
            with self._guard:
                if not depth:
                    self._thread, self._since = threading.get_ident(), time.monotonic()
                self._owners.append(owner)
            return function()
        finally:
            with self._guard:
                del self._owners[depth:]
                if not depth:
                    raise_in(self._thread, None)

    def interrupt(self, owner: Any = None, after: float = 0.0) -> bool:
        """Raise KeyboardInterrupt in what runs, if it is that owner's and has run for `after` seconds; whether it was.

        What waits for something within a library hears it only then.
        """
        with self._guard:
            mine = self._owners and (owner is None or any(one is owner for one in self._owners))
            if not mine or time.monotonic() - self._since < after:
                return False
            raise_in(self._thread, KeyboardInterrupt)
            return True

    def ending(self, function: Callable[..., T]) -> Callable[..., T]:
        """`function` as a part of other work, which goes on: interrupted it raises Interrupted, an ordinary error."""

        def guarded(*arguments: Any, **named: Any) -> T:
            try:
                return self.run(lambda: function(*arguments, **named))
            except KeyboardInterrupt:
                if self.busy:  # a script's own function does that work, and is what was meant
                    raise
                raise Interrupted("it did not end by itself and was stopped") from None

        return guarded


def raise_in(thread: int | None, kind: type[BaseException] | None) -> None:
    """Have `kind` raised in the thread of that identifier at its next instruction; None takes a pending one back."""
    if thread is not None:
        error = None if kind is None else ctypes.py_object(kind)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
