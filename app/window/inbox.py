"""What other threads hand to the GUI thread: a session's messages and calls, in order and in small bundles."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from engine.optimize.messages import Message, Progress, StepReport

PERIOD_MS = 100  # between two bundles of step reports
SLICE_SECONDS = 0.02  # of delivery at a time, so that the window draws in between


class Inbox(QObject):
    """Filled by any thread with `put_message` and `put_call`, emptied on the GUI thread."""

    steps = Signal(list)  # list[StepReport], at most 20 bundles per second
    message = Signal(object)  # every other message
    ticked = Signal()  # after each period, with or without news
    _wake = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._items: deque[Message | Callable[[], None]] = deque()
        self._open = True
        self._wake.connect(self.deliver, Qt.ConnectionType.QueuedConnection)
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def put_message(self, message: Message) -> None:
        """Have a message delivered; step reports wait for the next bundle."""
        if self._open:
            self._items.append(message)

    def put_call(self, call: Callable[[], None]) -> None:
        """Have `call` run on the GUI thread, soon and after everything that was put before it."""
        if self._open:
            self._items.append(call)
            self._wake.emit()

    def forget_messages(self) -> None:
        """Drop the messages that wait, such as those of a session that is closed."""
        waiting = [self._items.popleft() for _ in range(len(self._items))]
        self._items.extendleft(item for item in reversed(waiting) if callable(item))

    def close(self) -> None:
        """Deliver nothing any more."""
        self._open = False
        self._timer.stop()
        self._items.clear()

    def _tick(self) -> None:
        self.deliver()
        if self._open:
            self.ticked.emit()

    @Slot()
    def deliver(self) -> None:
        """Hand over what has come, as far as the time slice allows."""
        until = time.perf_counter() + SLICE_SECONDS
        while self._items and self._open:
            item = self._items.popleft()
            if isinstance(item, StepReport):
                bundle = [item]
                while self._items and isinstance(self._items[0], StepReport):
                    bundle.append(self._items.popleft())
                self.steps.emit(bundle)
            elif callable(item):
                item()
            elif not self._is_stale(item):
                self.message.emit(item)
            if time.perf_counter() > until and self._items:
                QTimer.singleShot(0, self.deliver)
                return

    def _is_stale(self, item: Message) -> bool:
        """Whether a newer progress of the same work follows at once."""
        following = self._items[0] if self._items else None
        return isinstance(item, Progress) and isinstance(following, Progress) and item.stage == following.stage
