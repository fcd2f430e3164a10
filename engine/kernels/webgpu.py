"""The WebGPU device of this process: buffers, pipelines, dispatches, read-back, and what happens when it is lost.

Only WebGPU's default limits are relied on and no optional feature: 8 storage buffers per stage, 256 invocations per
workgroup, 65535 workgroups per dimension. A storage binding holds 128 MiB, or more where the adapter allows it and the
environment variable UNRENDER_GPU_LIMITS does not say `default`. Sums in floating point are there where asked for and
where the adapter has them.
Pipelines are compiled once per process, in the background where `prepare` was called in time. Every wait has an end: a
device that does not answer counts as lost.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import wgpu

from engine.errors import DeviceError, DeviceLost, OnlyDeviceLost, UnrenderError
from engine.kernels.adapters import CPU_WAY, Adapter, adapters, choose_adapter
from engine.kernels.pipelines import Pipelines, RenderState
from engine.kernels.readback import Readback, StagingBuffers, Waiter
from engine.kernels.wgsl import ShaderSource

__all__ = ["Adapter", "DeviceFull", "DeviceLost", "Gpu", "Readback", "adapters", "gpu", "only_here", "recovering"]

T = TypeVar("T")
STORAGE = "STORAGE|COPY_SRC|COPY_DST"
UNIFORM = "UNIFORM|COPY_DST"
# Raised from WebGPU's defaults, which these are, to what the adapter has: large textures and photos are one buffer
# each. The rest stays as it is.
RAISED = {"max-buffer-size": 256 * 2**20, "max-storage-buffer-binding-size": 128 * 2**20}
LIMITS = "UNRENDER_GPU_LIMITS"
FLOAT_ATOMICS = "shader-float32-atomic"  # of wgpu's native features; no part of WebGPU
ANSWER_SECONDS = 60.0  # longest wait for the device to finish what was submitted


class DeviceFull(DeviceError, MemoryError):
    """The device's memory is used up; a session lowers what takes memory, as it does for the host's."""


class Gpu:
    """A device and its queue. Calls may come from several threads; one encoder belongs to one thread.

    What raises DeviceLost once is lost for good: get a new one from `gpu()` and make everything anew, or let
    `recovering` do so. Work is submitted through `submit` only, never through the queue itself: wgpu-native (29.0)
    aborts the process where a finished command buffer meets a device that is lost already. It does so too where a
    driver reports the loss while it takes work or is waited for; what is left then is a session's last checkpoint.
    """

    def __init__(self, adapter: Adapter | None = None, *, default_limits: bool | None = None) -> None:
        """Open `adapter` (by default `choose_adapter()`), with WebGPU's default limits where asked for.

        default_limits: None: as the environment variable UNRENDER_GPU_LIMITS says. Raises DeviceError when the driver
        refuses.
        """
        self.adapter = choose_adapter() if adapter is None else adapter
        if default_limits is None:
            default_limits = os.environ.get(LIMITS, "") == "default"
        try:
            allowed = {} if default_limits else self.adapter.limits
            limits = {name: allowed.get(name, default) for name, default in RAISED.items()}
            self.float_atomics = FLOAT_ATOMICS in self.adapter.native.features  # whether atomic<f32> can be summed
            self.device = self.adapter.native.request_device_sync(
                label="unrender",
                required_limits=limits,
                required_features=[FLOAT_ATOMICS] if self.float_atomics else [],
            )
        except (RuntimeError, wgpu.GPUError) as error:
            raise DeviceError(
                f"the adapter {self.adapter.name} cannot be opened ({error}); choose another with UNRENDER_GPU "
                "(unrender devices lists them)",
                CPU_WAY,
            ) from error
        self.limits: dict[str, int] = {name: int(value) for name, value in dict(self.device.limits).items()}
        self.answer_seconds = ANSWER_SECONDS
        self.lost = False
        self.staging, self.waiter = StagingBuffers(self), Waiter(self)
        self._pipelines = Pipelines(self)

    # -- failures

    @contextmanager
    def calls(self, doing: str) -> Iterator[None]:
        """Around wgpu calls: turns their errors into DeviceError, a lost device into DeviceLost; `doing` names them."""
        try:
            yield
        except UnrenderError:
            raise
        except wgpu.GPUOutOfMemoryError as error:
            raise DeviceFull(
                f"{self.adapter.name} has no memory left ({doing}); use fewer triangles, smaller images or smaller "
                "textures",
                CPU_WAY,
            ) from error
        except (wgpu.GPUError, RuntimeError, ValueError, AttributeError) as error:
            if self.lost or self._is_lost():
                raise self.lose(f"it was lost while {doing}") from error
            raise DeviceError(f"{self.adapter.name}: {doing} failed: {_first_reason(str(error))}") from error

    def lose(self, reason: str) -> DeviceLost:
        """Give the device up; returns the error to raise."""
        self.lost = True
        return DeviceLost(
            f"the GPU {self.adapter.name} failed: {reason}; update its driver, lower the size of images or textures",
            CPU_WAY,
        )

    def _is_lost(self) -> bool:
        try:
            self.device.create_command_encoder().finish()
        except Exception as error:
            return "lost" in str(error).lower()
        return False

    # -- memory

    def buffer(self, data: np.ndarray | int, *, usage: str = STORAGE, label: str = "") -> Any:
        """A wgpu.GPUBuffer with a copy of `data`, or of that many bytes, all zero; sizes are rounded up to 4 bytes.

        `usage` as wgpu spells it ("STORAGE|COPY_SRC|COPY_DST", "UNIFORM|COPY_DST", ...). Raises DeviceError beyond the
        device's max-buffer-size; what is bound at once must also fit max-storage-buffer-binding-size (see `bind`).
        """
        size = int(data) if isinstance(data, (int, np.integer)) else data.nbytes
        size = max((size + 3) & ~3, 16)
        most = self.limits["max-buffer-size"]
        if size > most:
            raise DeviceError(
                f"{label or 'a buffer'} of {_megabytes(size)} is larger than {self.adapter.name} allows "
                f"({_megabytes(most)}); use fewer triangles, smaller images or smaller textures",
                CPU_WAY,
            )
        with self.calls(f"reserving {_megabytes(size)}"):
            buffer = self.device.create_buffer(size=size, usage=usage, label=label)
        if not isinstance(data, (int, np.integer)):
            self.write(buffer, data)
        return buffer

    def write(self, buffer: Any, array: np.ndarray, offset: int = 0) -> None:
        """Queue a copy of `array` into `buffer` from byte `offset` (a multiple of 4) on; submitted work comes first."""
        if array.nbytes == 0:
            return
        data = np.ascontiguousarray(array)
        if data.nbytes % 4:
            data = np.concatenate([data.reshape(-1).view(np.uint8), np.zeros(-data.nbytes % 4, np.uint8)])
        with self.calls(f"writing {_megabytes(data.nbytes)}"):
            self.device.queue.write_buffer(buffer, offset, data)

    def texture(
        self, size: tuple[int, int], format: str, usage: str, *, levels: int = 1, label: str = "image", samples: int = 1
    ) -> Any:
        """A wgpu.GPUTexture of (height, width). Raises DeviceError beyond the device's largest texture."""
        height, width = size
        most = self.limits["max-texture-dimension-2d"]
        if max(size) > most:
            raise DeviceError(
                f"{label} of {width}x{height} pixels is larger than {self.adapter.name} allows ({most}x{most}); "
                "make it smaller",
                CPU_WAY,
            )
        with self.calls(f"reserving {label} of {width}x{height} pixels"):
            return self.device.create_texture(
                size=(width, height, 1),
                format=format,
                usage=usage,
                mip_level_count=levels,
                sample_count=samples,
                label=label,
            )

    def readback(
        self, encoder: Any, buffer: Any, dtype: Any, shape: tuple[int, ...] | int, offset: int = 0
    ) -> Readback:
        """Encode a copy of `shape` values of `dtype` of `buffer`, from byte `offset` on, for the host to read."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        size = (np.dtype(dtype).itemsize * math.prod(shape) + 3) & ~3
        if size == 0:
            return Readback(self, None, dtype, shape)
        staging = self.staging.take(size)
        with self.calls("reading results back"):
            encoder.copy_buffer_to_buffer(buffer, offset, staging, 0, size)
        return Readback(self, staging, dtype, shape)

    def readback_image(self, encoder: Any, texture: Any, dtype: Any, level: int = 0) -> Readback:
        """Encode a copy of the texels [H,W] of a 2D `texture`; `dtype` is a whole texel's, structured if need be."""
        width, height = max(texture.width >> level, 1), max(texture.height >> level, 1)
        pitch = (np.dtype(dtype).itemsize * width + 255) & ~255
        staging = self.staging.take(pitch * height)
        with self.calls("reading an image back"):
            encoder.copy_texture_to_buffer(
                {"texture": texture, "mip_level": level},
                {"buffer": staging, "bytes_per_row": pitch, "rows_per_image": height},
                (width, height, 1),
            )
        return Readback(self, staging, dtype, (height, width), pitch)

    def read(self, buffer: Any, dtype: Any, shape: tuple[int, ...] | int, offset: int = 0) -> np.ndarray:
        """Wait for all submitted work, then the values of `buffer`."""
        encoder = self.encoder()
        readback = self.readback(encoder, buffer, dtype, shape, offset)
        self.submit(encoder)
        return readback.array()

    # -- pipelines

    def module(self, source: ShaderSource) -> Any:
        """The wgpu.GPUShaderModule of `source`, made once. Raises ShaderError, with file and line."""
        return self._pipelines.module(source)

    def prepare(self, source: ShaderSource, entry: str) -> None:
        """Begin to compile the compute pipeline in the background, if nobody has; `compute` waits for it."""
        self._pipelines.begin_compute(source, entry)

    def compute(self, source: ShaderSource, entry: str) -> Any:
        """The compute pipeline of the function `entry`, compiled once per process.

        Raises ShaderError, with file and line, for what does not compile.
        """
        return self._pipelines.finished(self._pipelines.begin_compute(source, entry))

    def prepare_render(self, source: ShaderSource, **state: Any) -> None:
        """Begin to compile a render pipeline in the background; arguments as of `render`."""
        self._pipelines.begin_render(source, RenderState(**state))

    def render(
        self,
        source: ShaderSource,
        *,
        vertex: str,
        fragment: str | None,
        targets: Sequence[str | Mapping[str, Any]] = (),
        depth: Mapping[str, Any] | None = None,
        primitive: Mapping[str, Any] | None = None,
        samples: int = 1,
    ) -> Any:
        """The render pipeline of two entry points, vertices pulled from storage buffers; compiled once per process.

        `targets` are texture formats or wgpu colour target states, `depth` a depth-stencil state, `primitive` a
        primitive state (default: a triangle list, nothing culled). Raises ShaderError.
        """
        state = RenderState(vertex, fragment, targets, depth, primitive, samples)
        return self._pipelines.finished(self._pipelines.begin_render(source, state))

    # -- work

    def encoder(self) -> Any:
        """A new wgpu.GPUCommandEncoder."""
        with self.calls("beginning work"):
            return self.device.create_command_encoder()

    def bind(self, pipeline: Any, resources: Sequence[Any] | Mapping[int, Any], group: int = 0) -> Any:
        """A bind group of `group` of `pipeline`: buffers, (buffer, offset, size) in bytes, texture views or samplers.

        A sequence fills bindings 0, 1, 2, ...; a mapping names them. What the entry point does not use must be left
        out. Raises DeviceError for a storage buffer beyond max-storage-buffer-binding-size: bind it in ranges.
        """
        entries = []
        numbered = resources.items() if isinstance(resources, Mapping) else enumerate(resources)
        most = self.limits["max-storage-buffer-binding-size"]
        for index, resource in numbered:
            if isinstance(resource, wgpu.GPUBuffer):
                resource = resource, 0, resource.size
            if isinstance(resource, tuple):
                buffer, offset, size = resource
                if size > most:
                    raise DeviceError(
                        f"{buffer.label or 'a buffer'} of {_megabytes(size)} is larger than what {self.adapter.name} "
                        f"lets a shader see at once ({_megabytes(most)}); use fewer triangles, smaller images or "
                        "smaller textures",
                        CPU_WAY,
                    )
                resource = {"buffer": buffer, "offset": offset, "size": size}
            entries.append({"binding": index, "resource": resource})
        with self.calls("binding buffers"):
            return self.device.create_bind_group(layout=pipeline.get_bind_group_layout(group), entries=entries)

    def dispatch(
        self,
        target: Any,
        pipeline: Any,
        bindings: Sequence[Any],
        groups: int | tuple[int, int, int] | wgpu.GPUBuffer,
    ) -> None:
        """Encode one dispatch into `target`, a command encoder or an open compute pass.

        `bindings` are resources for group 0 as `bind` takes them, or bind groups for group 0, 1, ... `groups` counts
        workgroups; a single number beyond 65535 is folded into rows, so that a shader's workgroup number is
        `workgroup_id.x + workgroup_id.y * num_workgroups.x`, of which the last ones may lie beyond the end. A buffer
        with usage INDIRECT holds the three counts, as work encoded before leaves them.
        """
        whole, told = isinstance(groups, (int, np.integer)), isinstance(groups, wgpu.GPUBuffer)
        if whole:
            groups = fold(int(groups), self.limits["max-compute-workgroups-per-dimension"])
        if not told and 0 in groups:
            return
        ready = bool(bindings) and all(isinstance(item, wgpu.GPUBindGroup) for item in bindings)
        bound = bindings if ready else [self.bind(pipeline, bindings)] if len(bindings) else []
        with self.calls("encoding a dispatch"):
            own = isinstance(target, wgpu.GPUCommandEncoder)
            active = target.begin_compute_pass() if own else target
            active.set_pipeline(pipeline)
            for index, group in enumerate(bound):
                active.set_bind_group(index, group)
            if told:
                active.dispatch_workgroups_indirect(groups, 0)
            else:
                active.dispatch_workgroups(*groups)
            if own:
                active.end()

    def submit(self, encoder: Any) -> None:
        """Hand the encoded work to the device, which begins at once; returns before it is done."""
        with self.calls("submitting work"):
            commands = encoder.finish()
            self.waiter.result(lambda: self.device.queue.submit([commands]))

    def wait(self) -> None:
        """Return when all submitted work is done. Raises DeviceLost after `answer_seconds`."""
        encoder = self.encoder()
        marker = self.buffer(16, usage="COPY_SRC|COPY_DST")
        readback = self.readback(encoder, marker, np.uint32, 1)
        self.submit(encoder)
        readback.array()

    def destroy(self) -> None:
        """Drop the device, as a driver that fails does; whatever uses it afterwards gets DeviceLost."""
        self.device.destroy()


def fold(groups: int, most: int) -> tuple[int, int, int]:
    """(x, y, 1) with x * y >= groups and neither above `most`; (0, 1, 1) for none. Raises DeviceError beyond most^2."""
    rows = -(-groups // most)
    if rows > most:
        raise DeviceError(f"{groups} workgroups are more than one dispatch holds ({most * most}); use smaller inputs")
    return (-(-groups // rows), rows, 1) if rows else (0, 1, 1)


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _first_reason(message: str) -> str:
    """The most specific line of one of wgpu's nested messages."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


_shared: Gpu | None = None
_shared_lock = threading.Lock()


def gpu() -> Gpu:
    """The device that this process shares, opened when first asked for and again after it was lost.

    Raises DeviceError where there is no adapter, or none that UNRENDER_GPU means.
    """
    global _shared
    with _shared_lock:
        if _shared is None or _shared.lost:
            _shared = Gpu()
        return _shared


def recovering(work: Callable[[Gpu], T]) -> T:
    """`work(gpu())`, once more on a new device where the first is lost on the way; the second loss is raised.

    `work` must start from data of the host's and make buffers on the device that it is given.
    """
    try:
        return work(gpu())
    except DeviceLost:
        return work(gpu())


@contextmanager
def only_here(way: str) -> Iterator[None]:
    """Around work that nothing but WGSL can do: `way` ends its DeviceErrors, a lost device becomes OnlyDeviceLost.

    way: as of DeviceError, in place of the way over --device cpu, which would change nothing.
    """
    try:
        yield
    except DeviceLost as error:
        raise OnlyDeviceLost(error.text, way if error.way == CPU_WAY else error.way) from error
    except DeviceError as error:
        if error.way != CPU_WAY:
            raise
        raise type(error)(error.text, way) from error
