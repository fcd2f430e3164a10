"""Channels of the texture as a group of parameters: credited per texel of the pyramid, moved by Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.wgsl import compose
from engine.optimize.stochastic.memory import TILE, LoopMemory
from engine.optimize.stochastic.options import GROUPS

BUFFERS = {
    "base_color": ("color",),
    "roughness_metallic": ("color", "surface"),
    "normal_map": ("surface",),
}


class TexelGroup:
    """Moves the channels that `name` says; the texels of every level are credited as parameters of their own."""

    credit = "credit_texels"
    moves_geometry = False

    def __init__(self, memory: LoopMemory, name: str) -> None:
        self.memory, self.name = memory, name
        gpu, (height, width) = memory.gpu, memory.levels[0]
        self.count = height * width
        self._mean, self._square = (gpu.buffer(16 * self.count, label=f"{name} {w}") for w in ("mean", "square"))
        self._adam = gpu.compute(compose("texel_adam", constants={"GROUP": GROUPS[name]}), "texel_adam")
        self._bound: dict[int, Any] = {}

    def clear(self, encoder: Any) -> None:
        """Encode what has to be zero before the step."""

    def encode(self, compute_pass: Any, view: int) -> None:
        """Encode the step from the credited sums to the new texture and its mip levels."""
        memory = self.memory
        if view not in self._bound:
            resources = {
                0: memory.step,
                1: memory.view_uniform(view),
                2: memory.texels_color,
                3: memory.texels_surface,
                4: self._mean,
                5: self._square,
                8: memory.sums,
            }
            self._bound[view] = memory.gpu.bind(self._adam, resources)
        height, width = memory.levels[0]
        memory.gpu.dispatch(compute_pass, self._adam, [self._bound[view]], (-(-width // TILE), -(-height // TILE), 1))
        memory.encode_mips(compute_pass, BUFFERS[self.name])

    def rate(self, rate: float) -> float:
        """Rates are in the channel's own unit."""
        return rate

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of Adam's moments; the texture is saved once for all groups."""
        read = self.memory.gpu.read
        return {
            name: read(buffer, np.float32, (self.count, 4))
            for name, buffer in (("mean", self._mean), ("square", self._square))
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` returned."""
        self.memory.gpu.write(self._mean, state["mean"])
        self.memory.gpu.write(self._square, state["square"])
