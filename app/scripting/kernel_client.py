"""What qtconsole takes for a connection to a kernel: Qt signals in front of `Kernel`, without sockets."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.scripting.kernel import Kernel, Message, make_message

CHUNK = 1000  # characters of output shown at a time, so that the window stays responsive
PERIOD_MS = 50  # between two chunks
BACKLOG = 4_000  # characters of output that wait before the script has to


class Channel(QObject):
    """One of the protocol's channels; qtconsole listens to `message_received`."""

    message_received = Signal(object)
    kernel_died = Signal(float)

    def closed(self) -> bool:
        """There is nothing to flush: messages come in order."""
        return True

    def is_alive(self) -> bool:
        """It is as long as its kernel."""
        return True

    def flush(self) -> None:
        """Nothing waits here."""

    def pause(self) -> None:
        """There is no heartbeat."""

    unpause = pause


class KernelClient(QObject):
    """Made on the GUI thread; sends requests to its kernel and delivers the answers there, output in chunks."""

    started_channels = Signal()
    stopped_channels = Signal()
    kernel_restarted = Signal()
    busy_changed = Signal(bool)
    _wake = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = SimpleNamespace(session=uuid.uuid4().hex)
        self.shell_channel, self.iopub_channel = Channel(self), Channel(self)
        self.stdin_channel, self.hb_channel = Channel(self), Channel(self)
        self.channels_running = False
        self.kernel: Kernel | None = None
        self._waiting: deque[tuple[str, Message] | Callable[[], None]] = deque()
        self._characters = 0
        self._counting = threading.Lock()
        self._woken = False
        self._room = threading.Event()
        self._room.set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._deliver)
        self._wake.connect(self._deliver_soon, Qt.ConnectionType.QueuedConnection)

    def start(self, names: Callable[[], dict[str, Any]], folder: Path | None = None, dark: bool = False) -> None:
        """Begin with a fresh kernel, whose namespace `names()` is made on its thread; an old one is given up."""
        self.stop(seconds=0.0)
        generation = object()
        self._generation = generation

        def send(channel: str, message: Message) -> None:
            if self._generation is generation:
                self._put((channel, message))

        self.kernel = Kernel(send, names, folder, dark)
        self.channels_running = True
        self.started_channels.emit()

    def stop(self, seconds: float = 1.0) -> bool:
        """End the kernel; whether its thread ended within `seconds`."""
        kernel, self.kernel = self.kernel, None
        self._generation = None
        self.channels_running = False
        self._waiting.clear()
        self._characters = 0
        self._room.set()
        return kernel is None or kernel.shut_down(seconds)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what runs, and show no more of what it has printed."""
        if self.kernel is not None and self.kernel.interrupt():
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            kept, dropped = [], 0
            for item in waiting:
                if not callable(item) and item[1]["msg_type"] == "stream":
                    dropped += len(item[1]["content"]["text"])
                else:
                    kept.append(item)
            self._waiting.extendleft(reversed(kept))
            self._count(-dropped)

    def call_later(self, function: Callable[[], None]) -> None:
        """Have `function` called on the GUI thread, after all output so far; any thread may ask."""
        self._put(function)

    # ---- requests, as qtconsole makes them

    def _request(self, kind: str, **content: Any) -> str:
        message = make_message(f"{kind}_request", content, self.session.session)
        if self.kernel is not None:
            self.kernel.request(message)
        return message["msg_id"]

    def execute(self, code: str, silent: bool = False, store_history: bool = True, user_expressions=None, **_: Any):
        """Run code; the request's id, as for all requests."""
        expressions = user_expressions or {}
        return self._request(
            "execute", code=code, silent=silent, store_history=store_history, user_expressions=expressions
        )

    def complete(self, code: str, cursor_pos: int | None = None) -> str:
        """Ask how the name at the cursor may go on."""
        return self._request("complete", code=code, cursor_pos=len(code) if cursor_pos is None else cursor_pos)

    def inspect(self, code: str, cursor_pos: int | None = None, detail_level: int = 0) -> str:
        """Ask what is known about the name at the cursor."""
        position = len(code) if cursor_pos is None else cursor_pos
        return self._request("inspect", code=code, cursor_pos=position, detail_level=detail_level)

    def history(self, hist_access_type: str = "tail", n: int = 1000, **_: Any) -> str:
        """Ask for what was typed before."""
        return self._request("history", hist_access_type=hist_access_type, n=n)

    def is_complete(self, code: str) -> str:
        """Ask whether code can run or wants more lines."""
        return self._request("is_complete", code=code)

    def kernel_info(self) -> str:
        """Ask what the kernel is."""
        return self._request("kernel_info")

    def input(self, line: str) -> None:
        """Answer a request for input."""
        if self.kernel is not None:
            self.kernel.typed(line)

    # ---- answers

    def _put(self, item: tuple[str, Message] | Callable[[], None]) -> None:
        """On the kernel's thread: queue an answer; a script that prints faster than the window shows has to wait."""
        generation = self._generation
        while not self._room.wait(0.05):  # short, so that an interrupt gets through
            if self._generation is not generation:
                return
        self._waiting.append(item)
        if not callable(item) and item[1]["msg_type"] == "stream":
            self._count(len(item[1]["content"]["text"]))
        if not self._woken:  # a signal for each line that a script prints would flood the event loop
            self._woken = True
            self._wake.emit()

    def _count(self, characters: int) -> None:
        with self._counting:
            self._characters += characters
            if self._characters > BACKLOG:
                self._room.clear()
            elif self._characters < BACKLOG / 2:
                self._room.set()

    def _deliver_soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start(0)

    def _deliver(self) -> None:
        self._woken = False  # first: what comes from now on wakes again
        until = time.perf_counter() + PERIOD_MS / 2000
        while self._waiting:
            item = self._waiting.popleft()
            if callable(item):
                item()
            elif item[1]["msg_type"] == "stream":
                self._show_stream(*item)
                break  # one chunk at a time
            else:
                self._hand_over(*item)
            if time.perf_counter() > until:
                break
        if self._waiting:
            self._timer.start(PERIOD_MS)

    def _show_stream(self, channel: str, message: Message) -> None:
        """Show output together with what follows it, up to a chunk; the rest goes back to the front."""
        texts, size = [message["content"]["text"]], len(message["content"]["text"])
        while size < CHUNK and self._waiting:
            following = self._waiting[0]
            if callable(following) or following[1]["msg_type"] != "stream":
                break
            text = self._waiting.popleft()[1]["content"]["text"]
            texts.append(text)
            size += len(text)
        text = "".join(texts)
        if len(text) > CHUNK:
            rest = message | {"content": message["content"] | {"text": text[CHUNK:]}}
            self._waiting.appendleft((channel, rest))
            text = text[:CHUNK]
        self._count(-len(text))
        self._hand_over(channel, message | {"content": message["content"] | {"text": text}})

    def _hand_over(self, channel: str, message: Message) -> None:
        if message["msg_type"] == "status":
            self.busy_changed.emit(message["content"]["execution_state"] == "busy")
        getattr(self, f"{channel}_channel").message_received.emit(message)
