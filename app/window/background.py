"""Work that must not hold the window up, on a few worker threads, with progress and a way to cancel."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.window.inbox import Inbox
from app.window.option_names import in_words
from engine.errors import Cancelled, UnrenderError

WORKERS = 3


def described(error: BaseException) -> tuple[str, str]:
    """(sentence for the user, details to copy) of an error."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, UnrenderError):
        return in_words(str(error)), details
    if isinstance(error, MemoryError):
        return "Out of memory: close other programs, or lower the image and texture sizes in the recipe.", details
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}. Check that the place exists, can be written and has space.", details
    return f"Something went wrong inside Unrender ({type(error).__name__}: {error}).", details


class ProgressHandle:
    """Given to background work: how far it is, and whether it should end."""

    def __init__(self, label: str, changed: Callable[[ProgressHandle], None]) -> None:
        self.label, self.text, self.done = label, "", -1.0
        self._changed, self._cancelled = changed, threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the user asked to end it."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to end; `report` raises from now on."""
        self._cancelled.set()

    def report(self, done: float = -1.0, text: str = "") -> None:
        """Say how far the work is: 0 to 1, or -1 where nobody knows. Raises Cancelled when it should end."""
        if self.cancelled:
            raise Cancelled(f"{self.label or 'The work'} was cancelled.")
        self.done, self.text = float(done), text
        self._changed(self)


class Background(QObject):
    """A pool of worker threads whose results arrive on the GUI thread."""

    busy_changed = Signal(str, float)  # label of the newest labelled work and 0..1 (-1: unknown); "" when none is left
    failed = Signal(str, str)

    def __init__(self, inbox: Inbox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._inbox = inbox
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="unrender-worker")
        self._handles: list[ProgressHandle] = []
        self._shown: tuple[str, float] = ("", -1.0)
        self._closed = False

    def start(
        self,
        label: str,
        work: Callable[[ProgressHandle], Any],
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> ProgressHandle:
        """Run `work` on a worker; `done` gets its result, `failed` its error, both on the GUI thread.

        After `close` nothing is begun: a timer of a panel that is still there may ask for it.
        """
        handle = ProgressHandle(label, lambda _: self._inbox.put_call(self._show))
        if self._closed:
            handle.cancel()
            return handle
        self._handles.append(handle)
        self._show()

        def run() -> None:
            try:
                if handle.cancelled:
                    raise Cancelled(f"{label} was cancelled.")
                result = work(handle)
            except BaseException as error:  # everything goes to the GUI thread, which says it
                self._hand_over(handle, error, failed)  # elsewhere: this frame, which the error holds, must not hold it
            else:
                self._inbox.put_call(lambda: self._end_well(handle, result, done))

        self._pool.submit(run)
        return handle

    def cancel(self) -> None:
        """Ask all work that has a label to end."""
        for handle in self._handles:
            if handle.label:
                handle.cancel()

    @property
    def labels(self) -> list[str]:
        """Labels of the work under way."""
        return [handle.label for handle in self._handles if handle.label]

    def close(self) -> None:
        """End everything and wait for the threads."""
        self._closed = True
        for handle in self._handles:
            handle.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _end_well(self, handle: ProgressHandle, result: Any, done: Callable[[Any], None] | None) -> None:
        self._forget(handle)
        if done is not None and not (handle.cancelled and handle.label):
            done(result)

    def _hand_over(
        self, handle: ProgressHandle, error: BaseException, failed: Callable[[BaseException], None] | None
    ) -> None:
        self._inbox.put_call(lambda: self._end_badly(handle, error, failed))

    def _end_badly(
        self, handle: ProgressHandle, error: BaseException, failed: Callable[[BaseException], None] | None
    ) -> None:
        self._forget(handle)
        if failed is not None:
            failed(error)
        elif not isinstance(error, Cancelled):
            self.failed.emit(*described(error))
        told: BaseException | None = error
        while told is not None:  # whose frames hold the work, and what that held
            told.__traceback__, told = None, told.__cause__ or told.__context__

    def _forget(self, handle: ProgressHandle) -> None:
        self._handles.remove(handle)
        self._show()

    def _show(self) -> None:
        newest = next((handle for handle in reversed(self._handles) if handle.label), None)
        text = "" if newest is None else newest.label + (f": {newest.text}" if newest.text else "")
        state = (text, -1.0 if newest is None else newest.done)
        if state != self._shown:
            self._shown = state
            self.busy_changed.emit(*state)
