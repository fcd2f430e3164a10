"""The texture of a stochastic loop on the device: level 0 in buffers, the pyramid where shadings look it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import compose
from engine.raster.texture_pyramid import level_sizes

TEXEL = 16  # bytes of each half
LEVELS = 16  # most of a pyramid, whose level 0 has no side beyond 2^15
COARSE = 3  # level, as texel_adam.wgsl says
GROUP, TILE = 64, 8  # invocations of a workgroup along one dimension
IMAGE = "TEXTURE_BINDING|STORAGE_BINDING"
HALVES = {"color": "base colour and roughness", "surface": "metallic, normal and occlusion"}


@dataclass(frozen=True)
class TextureRows:
    """Rows of level 0 that a shader sees at once; of a texture that is seen whole, the buffers hold the pyramid."""

    first: int
    count: int
    buffers: dict[str, Any]  # by half, vec4f, row by row
    uniform: Any  # first, count and the pyramid's levels, as texel_adam.wgsl reads them


class LoopTexture:
    """Eight channels in two halves: (base colour, roughness) and (metallic, slope x, slope y, occlusion).

    A pyramid that fits into one storage binding is one buffer per half. A larger one (at 128 MiB: from 4096x4096 on)
    is two images of rgba32float, which no binding limits, beside buffers of some rows of level 0 each, which is what
    steps move. Both give the same bits; images are slower where the device is a program.
    """

    def __init__(self, gpu: Gpu, texture: np.ndarray, mips: bool) -> None:
        """texture: [H,W,8] float32. Raises DeviceError for sides beyond the device's largest image."""
        self.gpu = gpu
        height, width = texture.shape[:2]
        self.levels = level_sizes(height, width, None if mips else 1)
        self.texels = sum(h * w for h, w in self.levels)
        most = min(gpu.limits[name] for name in ("max-storage-buffer-binding-size", "max-buffer-size"))
        self.whole = TEXEL * self.texels <= most
        run = height if self.whole else max(most // (TEXEL * width), 1)
        self.rows = [self._rows(first, min(run, height - first)) for first in range(0, height, run)]
        coarse = self.levels[min(COARSE, len(self.levels) - 1)]
        self.coarse = gpu.buffer(TEXEL * coarse[0] * coarse[1], label="credit of coarse levels")
        self.images = {} if self.whole else {half: self._image(label) for half, label in HALVES.items()}
        self._mips = self._buffer_mips() if self.whole else self._image_mips()
        self.write(texture)

    def _rows(self, first: int, count: int) -> TextureRows:
        texels = self.texels if self.whole else count * self.levels[0][1]
        buffers = {half: self.gpu.buffer(TEXEL * texels, label=label) for half, label in HALVES.items()}
        uniform = self.gpu.buffer(self._numbers(first, count), usage=UNIFORM, label="rows")
        return TextureRows(first, count, buffers, uniform)

    def _numbers(self, first: int, count: int) -> np.ndarray:
        """The uniform of some rows: first and count, then every level's first texel, width, height and share."""
        numbers = np.zeros((1 + LEVELS, 4), np.uint32)
        numbers[0, :2] = first, count
        sizes = np.array(self.levels)
        areas = sizes.prod(1)
        numbers[1 : 1 + len(sizes), 0] = np.cumsum(areas) - areas
        numbers[1 : 1 + len(sizes), 1:3] = sizes[:, ::-1]
        numbers[1 : 1 + len(sizes), 3] = (areas / areas[0]).astype(np.float32).view(np.uint32)
        return numbers

    def _image(self, label: str) -> Any:
        return self.gpu.texture(self.levels[0], "rgba32float", IMAGE, levels=len(self.levels), label=label)

    @property
    def resources(self) -> dict[int, Any]:
        """What look-ups bind: buffers for loop_texels_buffer.wgsl, views for loop_texels_image.wgsl."""
        if self.whole:
            found = [self.rows[0].buffers[half] for half in HALVES]
        else:
            found = [self.images[half].create_view() for half in HALVES]
        return dict(enumerate(found, 9))

    # -- the pyramid; per half a list of (pipeline, bind group, workgroups)

    def _buffer_mips(self) -> dict[str, list[tuple[Any, Any, Any]]]:
        average = self.gpu.compute(compose("loop_buffer_mips"), "average")
        passes: dict[str, list[tuple[Any, Any, Any]]] = {half: [] for half in HALVES}
        start = 0
        for (fine_h, fine_w), (h, w) in zip(self.levels, self.levels[1:], strict=False):
            following = start + fine_h * fine_w
            numbers = np.array([w, h, fine_w, fine_h, following, start, 0, 0], np.uint32)
            uniform = self.gpu.buffer(numbers, usage=UNIFORM, label="mip level")
            for half, buffer in self.rows[0].buffers.items():
                passes[half].append((average, self.gpu.bind(average, [buffer, uniform]), -(-h * w // GROUP)))
            start = following
        return passes

    def _image_mips(self) -> dict[str, list[tuple[Any, Any, Any]]]:
        source, bind = compose("loop_texels_mips"), self.gpu.bind
        place, halve = self.gpu.compute(source, "place"), self.gpu.compute(source, "halve")
        passes: dict[str, list[tuple[Any, Any, Any]]] = {half: [] for half in HALVES}
        for half, image in self.images.items():
            count = len(self.levels)
            views = [image.create_view(base_mip_level=level, mip_level_count=1) for level in range(count)]
            for rows in self.rows:
                bound = bind(place, {0: rows.uniform, 1: rows.buffers[half], 3: views[0]})
                passes[half].append((place, bound, _tiles(rows.count, self.levels[0][1])))
            for level, size in enumerate(self.levels[1:], 1):
                bound = bind(halve, {2: views[level - 1], 3: views[level]})
                passes[half].append((halve, bound, _tiles(*size)))
        return passes

    def encode_mips(self, target: Any, halves: tuple[str, ...]) -> None:
        """Encode the pyramids of "color" or "surface" from what is in the rows."""
        for half in halves:
            for pipeline, bound, groups in self._mips[half]:
                self.gpu.dispatch(target, pipeline, [bound], groups)

    def tiles(self, rows: TextureRows) -> tuple[int, int, int]:
        """Workgroups of 8x8 over some rows."""
        return _tiles(rows.count, self.levels[0][1])

    @property
    def coarse_tiles(self) -> tuple[int, int, int] | None:
        """Workgroups of 8x8 over level COARSE, where there is one."""
        return _tiles(*self.levels[COARSE]) if len(self.levels) > COARSE else None

    # -- the host's side

    def write(self, texture: np.ndarray) -> None:
        """Replace the texture [H,W,8] and its pyramid."""
        values = np.ascontiguousarray(texture, np.float32)
        for rows in self.rows:
            part = values[rows.first : rows.first + rows.count]
            self.gpu.write(rows.buffers["color"], np.ascontiguousarray(part[..., :4]))
            self.gpu.write(rows.buffers["surface"], np.ascontiguousarray(part[..., 4:]))
        encoder = self.gpu.encoder()
        self.encode_mips(encoder, tuple(HALVES))
        self.gpu.submit(encoder)

    def read(self) -> np.ndarray:
        """[H,W,8] level 0; waits for the device."""
        width, read = self.levels[0][1], self.gpu.read
        parts = [
            [read(rows.buffers[half], np.float32, (rows.count, width, 4)) for rows in self.rows] for half in HALVES
        ]
        return np.concatenate([np.concatenate(half) for half in parts], -1)


def _tiles(height: int, width: int) -> tuple[int, int, int]:
    return -(-width // TILE), -(-height // TILE), 1
