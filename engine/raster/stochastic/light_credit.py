"""Which texels of the environment a pixel is credited to: those within a cone around the direction that it looks up.

A background or a mirror reads the bilinear taps of one direction (a cone of angle 0); a lobe reads everything within
its half angle, and light that is prefiltered over the whole sphere everything (pi). The cone is widened to the
rectangle of rows and columns that holds it, and to whole rows at the poles: crediting a texel too many costs variance,
one too few would be biased.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import torch
from numba import prange
from torch import Tensor

from engine.kernels.scatter import chunk_bounds
from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.stochastic.credit import register

THREADS = 4


@dataclass(frozen=True)
class LightCones:
    """Where the pixels of one image look the environment up."""

    direction: np.ndarray  # [H,W,3] float32 in the environment's frame, any length; NaN where the pixel does not
    angle: np.ndarray  # [H,W] float32 half angle in radians


@kernel
def _rectangle(x, y, z, angle, height, width):
    """(first row, last row, first column, number of columns) of a cone; columns wrap around, no rows: last < first."""
    length = math.sqrt(x * x + y * y + z * z)
    if not (length > 0 and length < np.inf):
        return np.int64(0), np.int64(-1), np.int64(0), np.int64(0)
    polar = math.acos(min(max(y / length, -1.0), 1.0))
    row0 = np.int64(math.floor((polar - angle) / math.pi * height - 0.5))
    row1 = np.int64(math.floor((polar + angle) / math.pi * height - 0.5)) + 1
    whole = row0 < 0 or row1 >= height  # bilinear taps beyond a pole lie on the other side of the globe
    row0, row1 = max(row0, 0), min(row1, height - 1)
    ring = math.sin(polar)
    if whole or math.sin(min(angle, 0.5 * math.pi)) >= ring:
        return row0, row1, np.int64(0), np.int64(width)
    spread = math.asin(math.sin(angle) / ring)
    u = math.atan2(x, -z) / (2 * math.pi) + 0.5
    first = np.int64(math.floor((u - spread / (2 * math.pi)) * width - 0.5))
    last = np.int64(math.floor((u + spread / (2 * math.pi)) * width - 0.5)) + 1
    return row0, row1, first % width, min(last - first + 1, np.int64(width))


@kernel
def _add(corners, row0, row1, column0, column1, value):
    """Add `value` to a rectangle by its four corners, whose running sums along both axes are taken at the end."""
    if row1 >= row0 and column1 >= column0:
        corners[row0, column0] += value
        corners[row0, column1 + 1] -= value
        corners[row1 + 1, column0] -= value
        corners[row1 + 1, column1 + 1] += value


@kernel
def _part(first, count, width, part):
    """(first, last) column of the part 0 or 1 of columns that wrap around; last < first where there is none."""
    if part == 0:
        return first, min(first + count, width) - 1
    return np.int64(0), first + count - width - 1


@parallel_kernel
def _sum_pixels(fixed, direction_plus, angle_plus, direction_minus, angle_minus, buffers):
    """buffers [chunks,H+1,W+1] int32: the corners of all rectangles; sums wrap around on the way, never at the end."""
    height, width = buffers.shape[1] - 1, buffers.shape[2] - 1
    chunks = buffers.shape[0]
    for c in prange(chunks):
        chunk = np.int64(c)
        own = buffers[chunk]
        own[:] = 0
        low, high = chunk_bounds(chunk, chunks, fixed.shape[0])
        for y in range(low, high):
            for x in range(fixed.shape[1]):
                value = fixed[y, x]
                if value == 0:
                    continue
                p, q = direction_plus[y, x], direction_minus[y, x]
                at, ab, al, an = _rectangle(p[0], p[1], p[2], angle_plus[y, x], height, width)
                bt, bb, bl, bn = _rectangle(q[0], q[1], q[2], angle_minus[y, x], height, width)
                same = at == bt and ab == bb and al == bl and an == bn
                for i in range(2):
                    a0, a1 = _part(al, an, width, i)
                    _add(own, at, ab, a0, a1, value)
                    if same:
                        continue
                    b0, b1 = _part(bl, bn, width, i)
                    _add(own, bt, bb, b0, b1, value)
                    for j in range(2):
                        b0, b1 = _part(bl, bn, width, j)
                        _add(own, max(at, bt), min(ab, bb), max(a0, b0), min(a1, b1), -value)


@kernel
def _reads(direction, angle, height, width, row, column):
    """[H,W] whether each pixel's cone holds texel (column, row)."""
    out = np.zeros(angle.shape, np.bool_)
    for y in range(angle.shape[0]):
        for x in range(angle.shape[1]):
            d = direction[y, x]
            top, bottom, first, count = _rectangle(d[0], d[1], d[2], angle[y, x], height, width)
            out[y, x] = top <= row <= bottom and (column - first) % width < count
    return out


@register("environment")
@dataclass(frozen=True)
class EnvironmentCredit:
    """Credits a pixel to every environment texel in its cones of the two images; rows are texels, row by row."""

    plus: LightCones
    minus: LightCones
    size: tuple[int, int]  # (height, width) of the equirectangular map

    @property
    def rows(self) -> int:
        """The number of texels."""
        return self.size[0] * self.size[1]

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """See `credit.CreditRule.sums`."""
        chunks = max(1, min(numba.get_num_threads(), THREADS, fixed.size // 8192))
        buffers = np.empty((chunks, self.size[0] + 1, self.size[1] + 1), np.int32)
        cones = self.plus.direction, self.plus.angle, self.minus.direction, self.minus.angle
        _sum_pixels(fixed, *cones, buffers)
        corners = buffers.sum(0, dtype=np.int32)
        total = np.cumsum(np.cumsum(corners, 0, dtype=np.int32), 1, dtype=np.int32)
        return np.ascontiguousarray(total[:-1, :-1]).reshape(-1)

    def pixels(self, row: int) -> np.ndarray:
        """See `credit.CreditRule.pixels`."""
        out = np.zeros(self.plus.angle.shape, bool)
        for cones in (self.plus, self.minus):
            out |= _reads(cones.direction, cones.angle, *self.size, *divmod(row, self.size[1]))
        return out

    def support(self) -> Tensor:
        """See `credit.CreditRule.support`; texel by texel."""
        rows = [torch.from_numpy(np.flatnonzero(self.pixels(row))) for row in range(self.rows)]
        return torch.cat([torch.stack([pixel, torch.full_like(pixel, row)], 1) for row, pixel in enumerate(rows)])
