"""Standard output and error by thread: what a script prints goes to its console, everything else where it went."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Sink = Callable[[str, str], None]  # (stdout | stderr, text)

_sinks: dict[int, Sink] = {}  # by thread
_installing = threading.Lock()


class _ThreadStream(io.TextIOBase):
    """Writes to the sink of the thread that writes; `original` is asked for everything else."""

    def __init__(self, name: str, original: TextIO | None) -> None:
        self._name, self.original = name, original

    def write(self, text: str) -> int:
        sink = _sinks.get(threading.get_ident())
        if sink is not None:
            sink(self._name, text)
        elif self.original is not None:  # there is none in a windowed Windows program
            self.original.write(text)
        return len(text)

    def flush(self) -> None:
        if self.original is not None and threading.get_ident() not in _sinks:
            self.original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        here = self.original is not None and threading.get_ident() not in _sinks
        return here and self.original.isatty()

    def fileno(self) -> int:
        if self.original is None:
            raise io.UnsupportedOperation("fileno")
        return self.original.fileno()

    @property
    def encoding(self) -> str:
        return getattr(self.original, "encoding", None) or "utf-8"


def _install() -> None:
    with _installing:  # something else may have replaced the streams since, such as a test's capture
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, _ThreadStream):
                setattr(sys, name, _ThreadStream(name, stream))


def sink_of_thread() -> Sink | None:
    """Where what this thread prints goes, None where it goes to the process's own streams."""
    return _sinks.get(threading.get_ident())


@contextmanager
def printing_to(sink: Sink | None) -> Iterator[None]:
    """Send what this thread prints to `sink`; None changes nothing."""
    if sink is None:
        yield
        return
    _install()
    thread = threading.get_ident()
    before = _sinks.get(thread)
    _sinks[thread] = sink
    try:
        yield
    finally:
        if before is None:
            _sinks.pop(thread, None)
        else:
            _sinks[thread] = before


def restore_streams() -> None:
    """Put the process's own streams back, once no console is left."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _ThreadStream) and not _sinks:
            setattr(sys, name, stream.original)
