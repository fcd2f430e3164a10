"""Device data on its way to the host, and the mappable buffers that it passes through, used again and again."""

from __future__ import annotations

import math
import queue
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from engine.kernels.webgpu import Gpu

T = TypeVar("T")
SPARE = 4  # unused buffers kept of each size


class StagingBuffers:
    """Buffers that the host can map, by size."""

    def __init__(self, owner: Gpu) -> None:
        self._owner = owner
        self._free: dict[int, list[Any]] = {}
        self._lock = threading.Lock()

    def take(self, size: int) -> Any:
        """A buffer of at least `size` bytes that nobody else has."""
        coarse = size >= 1 << 20
        rounded = (size + (1 << 20) - 1) & -(1 << 20) if coarse else 1 << max(size - 1, 255).bit_length()
        with self._lock:
            free = self._free.get(rounded)
            if free:
                return free.pop()
        return self._owner.buffer(rounded, usage="MAP_READ|COPY_DST", label="results")

    def keep(self, buffer: Any) -> None:
        """Take back a buffer that is not mapped and that no submitted work writes."""
        with self._lock:
            free = self._free.setdefault(buffer.size, [])
            if len(free) < SPARE:
                free.append(buffer)


class Waiter:
    """A daemon thread that waits for the device in the caller's place, for as long as that may take.

    Submitting work and mapping a buffer may block as well as waiting for it: wgpu polls under a lock, and a driver may
    take work only when it has done what came before.
    """

    unanswered = False  # whether a wait of this process was given up: ending in order could take as long

    def __init__(self, owner: Gpu) -> None:
        self._owner = owner
        self._asked: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=_answer, args=(self._asked,), name="WebGPU waits", daemon=True).start()
        weakref.finalize(self, self._asked.put, None)

    def result(self, wait: Callable[[], T]) -> T:
        """What `wait` returns or raises. Raises DeviceLost after the device's `answer_seconds`."""
        question = _Question(wait)
        self._asked.put(question)
        if not question.done.wait(self._owner.answer_seconds):
            Waiter.unanswered = True
            raise self._owner.lose(f"it did not answer within {self._owner.answer_seconds:g} s")
        if question.error is not None:
            raise question.error
        return question.answer


class _Question:
    def __init__(self, wait: Callable[[], Any]) -> None:
        self.wait, self.done = wait, threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None


def _answer(asked: queue.SimpleQueue) -> None:
    while (question := asked.get()) is not None:
        try:
            question.answer = question.wait()
        except BaseException as error:
            question.error = error
        question.done.set()
        del question  # and with it what the closure holds


class Readback:
    """A copy of device data on its way to the host; made by `Gpu.readback`, valid after `Gpu.submit`, used once."""

    def __init__(self, owner: Gpu, staging: Any, dtype: Any, shape: tuple[int, ...], pitch: int = 0) -> None:
        self._owner, self._staging = owner, staging
        self._dtype, self._shape, self._pitch = np.dtype(dtype), shape, pitch

    def use(self, work: Callable[[np.ndarray], T], padded: bool = False) -> T:
        """Wait, then the result of `work` on the values, which are read-only and gone when it returns.

        With `padded`, rows of an image keep what fills them up to 256 bytes, so that they are one contiguous block.

        Raises DeviceLost when the device fails to deliver within its `answer_seconds`.
        """
        if self._staging is None:
            return work(np.empty(self._shape, self._dtype))
        size, owner = self._size(), self._owner
        with owner.calls("reading results back"):
            owner.waiter.result(lambda: self._staging.map_async("READ_NOSYNC", 0, size).sync_wait())
            mapped = np.frombuffer(self._staging.read_mapped(0, size, copy=False), np.uint8)
        try:
            if self._pitch:
                rows = mapped.reshape(self._shape[0], self._pitch).view(self._dtype)
                return work(rows if padded else rows[:, : self._shape[1]])
            return work(mapped.view(self._dtype)[: math.prod(self._shape)].reshape(self._shape))
        finally:
            with owner.calls("reading results back"):
                self._staging.unmap()
            owner.staging.keep(self._staging)

    def _size(self) -> int:
        if self._pitch:
            return self._pitch * self._shape[0]
        return (self._dtype.itemsize * math.prod(self._shape) + 3) & ~3

    def array(self) -> np.ndarray:
        """The values in an array of their own, C-contiguous."""
        return self.use(lambda values: np.array(values, order="C"))
