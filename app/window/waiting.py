"""Waiting, on a worker thread, for something that the engine thread does between two steps."""

from __future__ import annotations

from concurrent.futures import Future, TimeoutError
from typing import TYPE_CHECKING, TypeVar

from engine.errors import Cancelled

if TYPE_CHECKING:
    from app.window.background import ProgressHandle

T = TypeVar("T")
POLL_SECONDS = 0.1


def result_of(future: Future[T], handle: ProgressHandle) -> T:
    """The future's result or its error. Raises Cancelled when the work that waits should end."""
    while True:
        try:
            return future.result(POLL_SECONDS)
        except TimeoutError:
            if future.done():  # the call itself raised it
                raise
            if handle.cancelled:
                future.cancel()
                raise Cancelled("nobody waits any longer") from None
