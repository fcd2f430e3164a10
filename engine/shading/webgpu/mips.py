"""The mip pyramid of a texture in device memory, as `engine.raster.texture_pyramid.build_pyramid` makes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import compose
from engine.raster.texture_pyramid import level_sizes

WORKGROUP = 64


class MipChain:
    """Averages level 0 of a texture into its other levels, which follow it in the same buffer (see texture.wgsl)."""

    def __init__(self, gpu: Gpu, size: tuple[int, int], channels: int, levels: int | None = None) -> None:
        """For float32 textures of `size` (height, width); `levels` as for `build_pyramid`, which raises ValueError."""
        self.gpu, self.channels = gpu, channels
        self.sizes = level_sizes(*size, levels)
        self.starts = np.cumsum([0, *(h * w for h, w in self.sizes)]).tolist()
        self._pipeline = gpu.compute(compose("texture_mips"), "average")
        self._uniforms = []
        for i in range(1, len(self.sizes)):
            (fine_h, fine_w), (h, w) = self.sizes[i - 1], self.sizes[i]
            record = [w, h, fine_w, fine_h, self.starts[i], self.starts[i - 1], channels, 0]
            self._uniforms.append(gpu.buffer(np.array(record, np.uint32), usage=UNIFORM))

    @property
    def texels(self) -> int:
        """Texels of all levels."""
        return self.starts[-1]

    def buffer(self, level_0: np.ndarray | None = None) -> Any:
        """A buffer for the pyramid, float32 [texels,channels], with `level_0` [H,W,C] at its beginning."""
        made = self.gpu.buffer(self.texels * self.channels * 4, label="a texture")
        if level_0 is not None:
            self.gpu.write(made, np.ascontiguousarray(level_0, np.float32))
        return made

    def encode(self, encoder: Any, pyramid: Any) -> None:
        """Encode the averaging of levels 1.. of the buffer `pyramid`."""
        for (h, w), uniform in zip(self.sizes[1:], self._uniforms, strict=True):
            groups = -(-h * w * self.channels // WORKGROUP)
            self.gpu.dispatch(encoder, self._pipeline, [pyramid, uniform], groups)
