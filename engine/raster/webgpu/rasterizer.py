"""The raster contract with visibility by WebGPU; everything that carries gradients stays in torch and numba."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceError
from engine.kernels.webgpu import Gpu, gpu, recovering
from engine.raster.contract import EdgeTable, Rasterizer, VisibilityBuffer
from engine.raster.numba_rasterizer import NumbaRasterizer, array, visibility_drawn_by
from engine.raster.reference import ReferenceRasterizer, located
from engine.raster.webgpu.kernels import take_numbers
from engine.raster.webgpu.visibility import TRIANGLE, VisibilityPass

SIZES = 4  # image sizes whose textures are kept
VERTEX = 16  # bytes


class WebgpuRasterizer:
    """Visibility by the GPU; the rest, and all gradients, by `numba` on CPU tensors and by `reference` on CUDA's.

    Triangle numbers cross over, 4 bytes per pixel; barycentrics and depth are recomputed from them in double precision,
    with the same gradients as the other implementations'. What differs from those: the hardware snaps positions to
    1/256 pixel (the others to 1/4096), so that a pixel whose centre lies within about that of an edge may show the
    triangle on the other side of it, and clips at the near plane where they test every pixel. A shared edge still has
    exactly one owner, and of triangles with the same vertices' depths the smallest index wins. On one machine and
    driver the same inputs give the same bits. A lost device is opened again and the call repeated, once.

    Takes float32 tensors. Raises DeviceError where there is no adapter, and when the device is lost twice.
    """

    name = "webgpu"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gpu: Gpu = gpu()
        self._forget(self._gpu)
        self._numba, self._reference = NumbaRasterizer(), ReferenceRasterizer()

    def _forget(self, device: Gpu) -> None:
        self._gpu = device
        self._passes: OrderedDict[tuple[int, int], VisibilityPass] = OrderedDict()
        self._buffers: dict[str, Any] = {}

    def visibility(
        self, clip: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool = False
    ) -> VisibilityBuffer:
        """See `contract.Rasterizer.visibility`."""
        if clip.device.type == "cpu":
            return visibility_drawn_by(self._draw, clip, triangles, size, cull_backfaces)
        if clip.dtype != torch.float32:
            raise DeviceError(f"the webgpu rasterizer takes float32 tensors, but clip is {clip.dtype}; use reference")
        return self._visibility_elsewhere(clip, triangles, size, cull_backfaces)

    def _visibility_elsewhere(
        self, clip: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool
    ) -> VisibilityBuffer:
        """Of tensors on another device: positions go out, numbers come in, the rest is computed there."""
        numbers = torch.empty(tuple(size), dtype=torch.int32)
        positions, corners = array(clip.cpu()), array(triangles.to("cpu", torch.int32))
        self._draw(positions, corners, *size, cull_backfaces, numbers.numpy())
        return located(numbers.to(clip.device), clip, triangles)

    def _draw(
        self, positions: np.ndarray, corners: np.ndarray, height: int, width: int, cull: bool, ids: np.ndarray
    ) -> np.ndarray:
        """Fill ids [H,W] int32; returns running sums of covered pixels per band, as `numba_visibility.draw`."""

        def work(device: Gpu) -> np.ndarray:
            if device is not self._gpu:
                self._forget(device)
            drawing = self._pass((height, width))
            encoder = device.encoder()
            if len(corners) == 0 or len(positions) == 0:
                return take_numbers(np.zeros((height, width), np.uint32), ids)
            for first, points, part in parts(positions, corners, device.limits["max-storage-buffer-binding-size"]):
                if first:  # the buffers are filled anew for every part
                    device.submit(encoder)
                    encoder = device.encoder()
                buffers = self._filled("positions", points, VERTEX), self._filled("corners", part, TRIANGLE)
                drawing.encode(encoder, *buffers, len(part), cull, first=first, keep=first > 0)
            readback = device.readback_image(encoder, drawing.numbers, np.uint32)
            device.submit(encoder)
            return readback.use(lambda rows: take_numbers(rows, ids), padded=True)

        with self._lock:
            return recovering(work)

    def _pass(self, size: tuple[int, int]) -> VisibilityPass:
        if size not in self._passes:
            self._passes[size] = VisibilityPass(self._gpu, size)
            if len(self._passes) > SIZES:
                self._passes.popitem(last=False)
        self._passes.move_to_end(size)
        return self._passes[size]

    def _filled(self, name: str, data: np.ndarray, row: int) -> Any:
        """The buffer `name` with `data` in front, grown where that does not fit."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < data.nbytes:
            most = self._gpu.limits["max-storage-buffer-binding-size"] // row * row
            buffer = self._gpu.buffer(max(min(data.nbytes * 5 // 4, most), data.nbytes), label=name)
            self._buffers[name] = buffer
        self._gpu.write(buffer, data)
        return buffer

    def _other(self, tensor: Tensor) -> Rasterizer:
        return self._numba if tensor.device.type == "cpu" else self._reference

    def interpolate(self, attributes: Tensor, triangles: Tensor, buffer: VisibilityBuffer) -> Tensor:
        """See `contract.Rasterizer.interpolate`."""
        return self._other(attributes).interpolate(attributes, triangles, buffer)

    def compose(self, values: Tensor, buffer: VisibilityBuffer, background: Tensor) -> Tensor:
        """See `contract.Rasterizer.compose`."""
        return self._other(values).compose(values, buffer, background)

    def coverage(
        self, image: Tensor, clip: Tensor, triangles: Tensor, buffer: VisibilityBuffer, edges: EdgeTable
    ) -> Tensor:
        """See `contract.Rasterizer.coverage`."""
        return self._other(image).coverage(image, clip, triangles, buffer, edges)

    def texture(self, pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
        """See `contract.Rasterizer.texture`."""
        return self._other(uv).texture(pyramid, uv, level)


def parts(positions: np.ndarray, corners: np.ndarray, limit: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(first triangle, positions, corners into them) of runs of triangles, each with at most `limit` bytes of vertices.

    positions [V,4] float32, corners [F,3] int32; one part, nothing copied, where all vertices fit.
    """
    if positions.nbytes <= limit:
        yield 0, positions, corners
        return
    run = max(limit // VERTEX // 3, 1)  # triangles that cannot have more corners than fit
    for first in range(0, len(corners), run):
        used, local = np.unique(corners[first : first + run], return_inverse=True)
        yield first, positions[used], local.reshape(-1, 3).astype(np.int32)
