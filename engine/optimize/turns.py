"""Whose turn it is to call kernels: numba's own thread pools, unlike tbb, take calls from one thread at a time."""

from __future__ import annotations

import contextlib
import threading
from contextlib import AbstractContextManager

from engine.kernels import settings


class FairLock:
    """A reentrant lock that goes to whoever has waited longest, so that steps in a row cannot starve the view."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = self._served = 0  # tickets
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._owner == me:
            self._depth += 1
            return
        with self._changed:
            ticket, self._next = self._next, self._next + 1
            while self._served != ticket:
                self._changed.wait()
            self._owner, self._depth = me, 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            with self._changed:
                self._owner = None
                self._served += 1
                self._changed.notify_all()


_TURNS = FairLock()


def kernel_turn() -> AbstractContextManager[None]:
    """Hold this around a step, or the drawing of one image; free where numba runs on tbb."""
    return contextlib.nullcontext() if settings.HAS_TBB else _TURNS
