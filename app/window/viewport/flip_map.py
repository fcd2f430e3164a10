"""FLIP error maps from a child process, the newest pair of images first."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np


class FlipMaps:
    """`submit` returns at once; `done(token, error [H,W])` is called on a thread of this object's own.

    Child and thread are started by the first call. Where the child dies `error` is None; the next call starts another.
    """

    def __init__(self, done: Callable[[Any, np.ndarray | None], None]) -> None:
        self._done = done
        self._condition = threading.Condition()
        self._pair: tuple[Any, np.ndarray, np.ndarray] | None = None
        self._closed = False
        self._child: subprocess.Popen | None = None
        self._thread: threading.Thread | None = None

    def submit(self, token: Any, photo: np.ndarray, render: np.ndarray) -> None:
        """Measure two images [H,W,3] float32 in [0,1], unless a newer pair comes first."""
        with self._condition:
            self._pair = (token, photo, render)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._loop, name="unrender-flip", daemon=True)
                self._thread.start()
            self._condition.notify()

    def close(self) -> None:
        """End child and thread."""
        with self._condition:
            self._closed = True
            child = self._child
            self._condition.notify()
        if child is not None:
            child.kill()
        if self._thread is not None:
            self._thread.join(5)

    def _loop(self) -> None:
        while True:
            with self._condition:
                while self._pair is None and not self._closed:
                    self._condition.wait()
                if self._closed:
                    break
            self._measure()
        self._end()

    def _measure(self) -> None:
        """The newest pair, which is not kept alive while the thread waits for the next."""
        with self._condition:
            (token, photo, render), self._pair = self._pair, None
        try:
            error = self._asked(photo, render)
        except (OSError, ValueError):  # the child is gone
            self._end()
            error = None
        if not self._closed:
            self._done(token, error)

    def _asked(self, photo: np.ndarray, render: np.ndarray) -> np.ndarray:
        child = self._started()
        height, width = photo.shape[:2]
        child.stdin.write(struct.pack("<ii", height, width))
        for image in (photo, render):
            child.stdin.write(np.ascontiguousarray(image, np.float32).tobytes())
        child.stdin.flush()
        answer = child.stdout.read(height * width * 4)
        return np.frombuffer(answer, np.float32).reshape(height, width)

    def _started(self) -> subprocess.Popen:
        with self._condition:
            if self._child is None:
                command = [sys.executable, "-m", "app.window.viewport.flip_child"]
                environment = os.environ | {
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                }
                pipe = subprocess.PIPE
                self._child = subprocess.Popen(
                    command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
                )
            return self._child

    def _end(self) -> None:
        with self._condition:
            child, self._child = self._child, None
        if child is not None:
            child.kill()
            for stream in (child.stdin, child.stdout):
                try:
                    stream.close()
                except OSError:  # what was not yet sent has nowhere to go
                    pass
            child.wait()
