"""Channels of the texture as a group of parameters: credited per texel of the pyramid, moved by Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.optimize.stochastic.loop_texture import TEXEL, TextureRows
from engine.optimize.stochastic.memory import LoopMemory
from engine.optimize.stochastic.options import GROUPS

BUFFERS = {
    "base_color": ("color",),
    "roughness_metallic": ("color", "surface"),
    "normal_map": ("surface",),
}
MOMENTS = ("mean", "square")


class TexelGroup:
    """Moves the channels that `name` says; the texels of every level are credited as parameters of their own.

    What a pixel's channels do to its loss is estimated at the pixel: four shadings with the channels moved together, to
    the corners of a tetrahedron, tell three slopes apart. How the channels follow from the texels is known, and each
    texel is credited by its weight. Signs drawn per texel would be unbiased, too, but each of the eight texels that a
    pixel reads would take the others for noise, and Adam, which makes steps as long for noise, would get nowhere.
    """

    credit = "credit_texels"
    moves_geometry = False

    def __init__(self, memory: LoopMemory, name: str) -> None:
        self.memory, self.name = memory, name
        source = memory.composed("texel_adam", GROUP=GROUPS[name])
        self._hand_down, self._adam = (memory.gpu.compute(source, entry) for entry in ("hand_down", "texel_adam"))
        self._moments = {what: [self._buffer(rows, what) for rows in memory.texture.rows] for what in MOMENTS}
        self._bound: dict[int, list[Any]] = {}
        texture = memory.texture
        resources = {6: texture.rows[0].uniform, 7: texture.coarse, 8: memory.sums} | memory.channel_sums
        self._above = memory.gpu.bind(self._hand_down, resources)

    def _buffer(self, rows: TextureRows, what: str) -> Any:
        size = TEXEL * rows.count * self.memory.levels[0][1]
        return self.memory.gpu.buffer(size, label=f"{self.name} {what}")

    def clear(self, encoder: Any) -> None:
        """Encode what has to be zero before the step."""

    def encode(self, compute_pass: Any, view: int) -> None:
        """Encode the step from the credited sums to the new texture and its mip levels."""
        memory, texture = self.memory, self.memory.texture
        if view not in self._bound:
            shared = {0: memory.step, 1: memory.view_uniform(view), 7: texture.coarse, 8: memory.sums}
            shared |= memory.channel_sums
            self._bound[view] = [
                memory.gpu.bind(self._adam, shared | {2: color, 3: surface, 4: mean, 5: square, 6: rows.uniform})
                for rows, mean, square in zip(texture.rows, *self._moments.values(), strict=True)
                for color, surface in [rows.buffers.values()]
            ]
        if texture.coarse_tiles is not None:
            memory.gpu.dispatch(compute_pass, self._hand_down, [self._above], texture.coarse_tiles)
        for rows, bound in zip(texture.rows, self._bound[view], strict=True):
            memory.gpu.dispatch(compute_pass, self._adam, [bound], texture.tiles(rows))
        texture.encode_mips(compute_pass, BUFFERS[self.name])

    def rate(self, rate: float) -> float:
        """Rates are in the channel's own unit."""
        return rate

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of Adam's moments; the texture is saved once for all groups."""
        read = self.memory.gpu.read
        return {
            what: np.concatenate([read(buffer, np.float32, (buffer.size // TEXEL, 4)) for buffer in buffers])
            for what, buffers in self._moments.items()
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` returned."""
        for what, buffers in self._moments.items():
            first = 0
            for buffer in buffers:
                count = buffer.size // TEXEL
                self.memory.gpu.write(buffer, state[what][first : first + count])
                first += count
