"""Which splats each pixel of an image saw: what stochastic gradients credit (Deliot et al. 2024, arXiv 2404.09758)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.scene.camera import Camera
from engine.splats.constants import TILE
from engine.splats.numba_composite import LEAST, LOG2E, MOST, PIXELS, STOP, exp2, exp2_of, log2
from engine.splats.numba_project import OPACITY, A, B, C, X, Y, project
from engine.splats.numba_splatter import View
from engine.splats.numba_tiles import binned
from engine.splats.parameters import SplatTensors

CHUNKS = 16  # each takes every 16th tile
WORD = 64  # pixels, four rows of a tile
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)


@dataclass(frozen=True)
class SplatIds:
    """The splats of every tile, and which of its pixels saw each."""

    count: int  # of all splats
    size: tuple[int, int]  # height, width
    starts: np.ndarray  # [T+1] int64 first place of each tile, row by row
    splats: np.ndarray  # [M] int32 the splat at each place
    seen: np.ndarray  # [M,4] uint64 a bit per pixel of the tile, row by row

    @classmethod
    def of(cls, splats: SplatTensors, camera: Camera, antialiased: bool = False) -> SplatIds:
        """Of Gaussians or exponentials, float32; a pixel sees what it blends, and the splat that ends it."""
        arrays = [None if t is None else t.detach().contiguous().numpy() for t in _fields(splats)]
        view, count = View.of(camera), len(splats)
        ellipses, colors = np.empty((count, 8), np.float32), np.empty((count, 3), np.float32)
        depths, bounds, radii = np.empty(count, np.float32), np.empty((count, 4), np.int32), np.empty(count, np.int32)
        size = np.array([camera.width, camera.height])
        project(
            *arrays, view.view, view.position, view.lens, size, 0, antialiased,
            ellipses, depths, bounds, radii, colors,
        )  # fmt: skip
        tiles = binned(ellipses, depths, bounds, radii, camera.width, camera.height)
        seen = np.zeros((len(tiles.splats), PIXELS // WORD), np.uint64)
        see(camera.width, camera.height, tiles.columns, tiles.starts, tiles.splats, ellipses, arrays[5], seen)
        return cls(count, camera.size, tiles.starts, tiles.splats, seen)


def _fields(splats: SplatTensors) -> tuple:
    return splats.means, splats.rotations, splats.log_scales, splats.logits, splats.harmonics, splats.shapes


@parallel_kernel
def see(width, height, columns, starts, splats, ellipses, shapes, seen):
    """Fill `seen` [M,4], zeroed before: blends as `composite` (numba_composite.py) does, opacities alone."""
    for index in numba.prange(CHUNKS):
        clear = np.empty(PIXELS, np.float32)
        for tile in range(np.int64(index), len(starts) - 1, CHUNKS):
            x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
            for pixel in range(PIXELS):  # zero: takes no more splats
                clear[pixel] = ONE if y0 + pixel // TILE < height and x0 + pixel % TILE < width else ZERO
            for place in range(starts[tile], starts[tile + 1]):
                splat = splats[place]
                ellipse = ellipses[splat]
                for pixel in range(PIXELS):
                    if clear[pixel] == ZERO:
                        continue
                    dx = np.float32(x0 + pixel % TILE) + HALF - ellipse[X]
                    dy = np.float32(y0 + pixel // TILE) + HALF - ellipse[Y]
                    q = (ellipse[A] * dx + ellipse[B] * dy) ** 2 + (ellipse[C] * dy) ** 2
                    if shapes is not None:
                        q = exp2_of(log2(max(q, np.float32(1e-30))) * HALF * shapes[splat])
                    alpha = min(ellipse[OPACITY] * exp2(q * (-HALF * LOG2E)), MOST)
                    if alpha >= LEAST:
                        seen[place, pixel // WORD] |= np.uint64(1) << np.uint64(pixel % WORD)
                        after = clear[pixel] * (ONE - alpha)
                        clear[pixel] = after if after >= STOP else ZERO


@kernel
def word_sum(bits, fixed, x0, y0, word):
    """The sum of `fixed` [H,W] over the pixels of a tile that `bits` names."""
    total = np.int64(0)
    for k in range(WORD):
        if bits >> np.uint64(k) & np.uint64(1):
            pixel = word * WORD + k
            total += fixed[y0 + pixel // TILE, x0 + pixel % TILE]
    return total


@parallel_kernel
def sums_of(columns, fixed, starts, splats, seen, others_starts, others, others_seen, count, sums):
    """Fill `sums` [M] of places: of `fixed` over the pixels that saw a splat here and not in the other image.

    The other image's places `others` [M'] and `others_seen` may be empty.
    """
    for index in numba.prange(CHUNKS):
        place_of = np.full(count, -1, np.int64)
        for tile in range(np.int64(index), len(starts) - 1, CHUNKS):
            x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
            for place in range(others_starts[tile], others_starts[tile + 1]):
                place_of[others[place]] = place
            for place in range(starts[tile], starts[tile + 1]):
                other = place_of[splats[place]]
                sums[place] = 0
                for word in range(PIXELS // WORD):
                    bits = seen[place, word]
                    if other >= 0:
                        bits &= ~others_seen[other, word]
                    if bits:
                        sums[place] += word_sum(bits, fixed, x0, y0, word)
            for place in range(others_starts[tile], others_starts[tile + 1]):
                place_of[others[place]] = -1
