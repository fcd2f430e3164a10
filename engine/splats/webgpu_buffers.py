"""Buffers that live from step to step, and work encoded with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import DeviceError
from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import ShaderSource

SLOT = 256  # bytes that a uniform's offset is a multiple of
REMEMBERED = 256  # bind groups


class Buffers:
    """Buffers of one device by name: made when first asked for, made anew when they are too small."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._made: dict[str, Any] = {}
        self._bound: dict[tuple, Any] = {}

    def get(self, name: str, size: int) -> Any:
        """The buffer `name`, of at least `size` bytes; its contents are lost when it grows. Raises DeviceError."""
        most = self.gpu.limits["max-storage-buffer-binding-size"]
        if size > most:
            raise DeviceError(
                f"splats: {name} of {size / 2**20:.0f} MiB is larger than what {self.gpu.adapter.name} lets a shader "
                f"see at once ({most / 2**20:.0f} MiB); use fewer splats or smaller images, or --device cpu"
            )
        buffer = self._made.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._made[name] = self.gpu.buffer(min(size + size // 4, most) if buffer else size, label=name)
            self._bound.clear()
        return buffer

    def filled(self, name: str, data: np.ndarray) -> Any:
        """The buffer `name` with `data` in front."""
        buffer = self.get(name, data.nbytes)
        self.gpu.write(buffer, data)
        return buffer

    def uniforms(self, records: Sequence[np.ndarray]) -> list[tuple[Any, int, int]]:
        """What to bind for each of the records, which share one buffer."""
        room = np.zeros((len(records), SLOT), np.uint8)
        for row, record in zip(room, records, strict=True):
            row[: record.nbytes] = record.view(np.uint8)
        buffer = self._made.get("uniforms")
        if buffer is None or buffer.size < room.nbytes:
            buffer = self._made["uniforms"] = self.gpu.buffer(room.nbytes, usage=UNIFORM, label="uniforms")
            self._bound.clear()
        self.gpu.write(buffer, room)
        return [(buffer, SLOT * index, -(-record.nbytes // 16) * 16) for index, record in enumerate(records)]

    def bound(self, pipeline: Any, resources: Mapping[int, Any]) -> Any:
        """The bind group, remembered."""
        key = (id(pipeline), *((index, _key(resource)) for index, resource in resources.items()))
        group = self._bound.get(key)
        if group is None:
            if len(self._bound) >= REMEMBERED:
                self._bound.clear()
            group = self._bound[key] = self.gpu.bind(pipeline, resources)
        return group


def _key(resource: Any) -> tuple:
    return (id(resource[0]), *resource[1:]) if isinstance(resource, tuple) else (id(resource),)


class Encoding:
    """Dispatches one after another; the device waits for each before the next that reads what it wrote."""

    def __init__(self, buffers: Buffers) -> None:
        self.gpu, self._buffers = buffers.gpu, buffers
        self.encoder = self.gpu.encoder()
        self._pass: Any = None

    def dispatch(
        self, source: ShaderSource, entry: str, resources: Sequence[Any] | Mapping[int, Any], groups: int
    ) -> None:
        """Encode one dispatch of so many workgroups; see `Gpu.dispatch`."""
        pipeline = self.gpu.compute(source, entry)
        numbered = dict(resources) if isinstance(resources, Mapping) else dict(enumerate(resources))
        group = self._buffers.bound(pipeline, numbered)
        if self._pass is None:
            with self.gpu.calls("beginning a pass"):
                self._pass = self.encoder.begin_compute_pass()
        self.gpu.dispatch(self._pass, pipeline, [group], groups)

    def clear(self, buffer: Any, size: int) -> None:
        """Set the first `size` bytes to zero."""
        self.end_pass()
        with self.gpu.calls("clearing a buffer"):
            self.encoder.clear_buffer(buffer, 0, size)

    def end_pass(self) -> Any:
        """End the open pass, if there is one; the encoder, for copies."""
        if self._pass is not None:
            with self.gpu.calls("ending a pass"):
                self._pass.end()
            self._pass = None
        return self.encoder
