"""Which texels a pixel is credited to: all that its filtered look-up reads, through the mip pyramid to level 0.

A tap at mip level k is a mean over 2^k x 2^k texels, and each of them can change the pixel. The taps of a trilinear
look-up's finer level lie within those of its coarser one, so that a pixel's texels are one rectangle per image: four
taps of the coarser level with any weight. Rectangles are summed up at their own level and handed down at the end, which
makes the cost of a pixel independent of its footprint; where those of the two images differ, the rectangle that they
share is taken off again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from numba import prange
from torch import Tensor

from engine.kernels.scatter import chunk_bounds
from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.stochastic.credit import register
from engine.raster.texture_pyramid import level_sizes

THREADS = 4  # most private pyramids


@dataclass(frozen=True)
class TexturePoints:
    """Where the pixels of one image look a texture up."""

    uv: np.ndarray  # [H,W,2] float32; NaN where the pixel does not
    level: np.ndarray  # [H,W] float32 mip level

    @staticmethod
    def of(pixel: np.ndarray, uv: np.ndarray, level: np.ndarray | None, size: tuple[int, int]) -> TexturePoints:
        """From a compact list: flat pixel indices [P], uv [P,2] and level [P] (None: the finest) of an image (H,W)."""
        whole = np.full((size[0] * size[1], 2), np.nan, np.float32)
        whole[pixel] = uv
        levels = np.zeros(size[0] * size[1], np.float32)
        if level is not None:
            levels[pixel] = level
        return TexturePoints(whole.reshape(*size, 2), levels.reshape(size))


@kernel
def _span(t, n):
    """First and last of the texels that a look-up at t reads along an axis of n texels, as `texture_numba` clamps."""
    x = t * np.float32(n) - np.float32(0.5)
    x = min(max(x, np.float32(-1.0)), np.float32(n))
    first = np.int64(np.floor(x))
    return max(min(first, n - 1), 0), max(min(first + 1, n - 1), 0)


@kernel
def _rectangle(u, v, level, sizes):
    """(level, x0, x1, y0, y1) of all that a trilinear look-up reads; level -1 where there is none."""
    if not (np.isfinite(u) and np.isfinite(v)):
        return -1, np.int64(0), np.int64(-1), np.int64(0), np.int64(-1)
    top = np.float32(sizes.shape[0] - 1)
    level = min(max(level, np.float32(0.0)), top) if level == level else np.float32(0.0)
    k = np.int64(np.ceil(level))
    x0, x1 = _span(u, sizes[k, 1])
    y0, y1 = _span(v, sizes[k, 0])
    return k, x0, x1, y0, y1


@kernel
def _add(levels, offsets, sizes, k, x0, x1, y0, y1, value):
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            levels[offsets[k] + y * sizes[k, 1] + x] += value


@parallel_kernel
def _sum_pixels(fixed, uv_plus, level_plus, uv_minus, level_minus, sizes, offsets, buffers):
    height, width = fixed.shape
    chunks = buffers.shape[0]
    for c in prange(chunks):
        chunk = np.int64(c)
        own = buffers[chunk]
        own[:] = 0
        low, high = chunk_bounds(chunk, chunks, height)
        for y in range(low, high):
            for x in range(width):
                value = fixed[y, x]
                if value == 0:
                    continue
                ka, ax0, ax1, ay0, ay1 = _rectangle(uv_plus[y, x, 0], uv_plus[y, x, 1], level_plus[y, x], sizes)
                kb, bx0, bx1, by0, by1 = _rectangle(uv_minus[y, x, 0], uv_minus[y, x, 1], level_minus[y, x], sizes)
                if ka >= 0:
                    _add(own, offsets, sizes, ka, ax0, ax1, ay0, ay1, value)
                if kb < 0 or (ka == kb and ax0 == bx0 and ax1 == bx1 and ay0 == by0 and ay1 == by1):
                    continue
                _add(own, offsets, sizes, kb, bx0, bx1, by0, by1, value)
                if ka < 0:
                    continue
                k = min(ka, kb)  # the shared rectangle, in texels of the finer level
                aw, ah = sizes[k, 1] // sizes[ka, 1], sizes[k, 0] // sizes[ka, 0]
                bw, bh = sizes[k, 1] // sizes[kb, 1], sizes[k, 0] // sizes[kb, 0]
                x0, x1 = max(ax0 * aw, bx0 * bw), min((ax1 + 1) * aw, (bx1 + 1) * bw) - 1
                y0, y1 = max(ay0 * ah, by0 * bh), min((ay1 + 1) * ah, (by1 + 1) * bh) - 1
                _add(own, offsets, sizes, k, x0, x1, y0, y1, -value)


@parallel_kernel
def _hand_down(levels, sizes, offsets):
    """Add every level's sums to the texels of the finer one that it averages, down to level 0."""
    for step in range(1, sizes.shape[0]):
        k = sizes.shape[0] - step
        h, w = sizes[k - 1]
        down, across = h // sizes[k, 0], w // sizes[k, 1]
        for y_ in prange(h):
            y = np.int64(y_)
            for x in range(w):
                levels[offsets[k - 1] + y * w + x] += levels[offsets[k] + y // down * sizes[k, 1] + x // across]


@register("texels")
@dataclass(frozen=True)
class TexelCredit:
    """Credits a pixel to every texel that its look-ups in the two images read; rows are texels, row by row."""

    plus: TexturePoints
    minus: TexturePoints
    size: tuple[int, int]  # (height, width) of the texture
    levels: int | None = None  # of its mip pyramid; None: all of them, 1: no filtering between levels

    @property
    def rows(self) -> int:
        """The number of texels."""
        return self.size[0] * self.size[1]

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        sizes = np.array(level_sizes(*self.size, self.levels), np.int64)
        return sizes, np.concatenate([[0], np.cumsum(sizes.prod(1))]).astype(np.int64)

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """See `credit.CreditRule.sums`."""
        sizes, offsets = self._tables()
        chunks = max(1, min(numba.get_num_threads(), THREADS, fixed.size // 8192))
        buffers = np.empty((chunks, int(offsets[-1])), np.int32)
        points = self.plus.uv, self.plus.level, self.minus.uv, self.minus.level
        _sum_pixels(fixed, *points, sizes, offsets, buffers)
        total = buffers.sum(0, dtype=np.int32) if chunks > 1 else buffers[0]
        _hand_down(total, sizes, offsets)
        return total[: self.rows].copy()

    def pixels(self, row: int) -> np.ndarray:
        """See `credit.CreditRule.pixels`."""
        sizes, _ = self._tables()
        y, x = divmod(row, self.size[1])
        out = np.zeros(self.plus.level.shape, bool)
        for points in (self.plus, self.minus):
            out |= _reads(points.uv, points.level, sizes, x, y)
        return out

    def support(self) -> Tensor:
        """See `credit.CreditRule.support`; tap by tap, from the definition of the look-up."""
        sizes, (height, width) = level_sizes(*self.size, self.levels), self.size
        grid_y, grid_x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pairs = [torch.zeros((0, 2), dtype=torch.int64)]
        for points in (self.plus, self.minus):
            uv = torch.as_tensor(points.uv).reshape(-1, 2)
            level = torch.as_tensor(points.level).reshape(-1).clamp(0, len(sizes) - 1)
            for pixel in torch.nonzero(torch.isfinite(uv).all(1))[:, 0].tolist():
                fine = int(level[pixel])
                for k in {fine, fine + int(level[pixel] > fine)}:
                    down, across = sizes[k]
                    first = (uv[pixel] * torch.tensor([across, down]) - 0.5).floor().long()
                    for column, row in ((first[0] + i, first[1] + j) for i in (0, 1) for j in (0, 1)):
                        column, row = column.clamp(0, across - 1), row.clamp(0, down - 1)
                        under = (grid_x // (width // across) == column) & (grid_y // (height // down) == row)
                        texel = torch.nonzero(under.reshape(-1))[:, 0]
                        pairs.append(torch.stack([torch.full_like(texel, pixel), texel], 1))
        return torch.cat(pairs)


@kernel
def _reads(uv, level, sizes, x, y):
    """[H,W] whether the look-up of each pixel reads texel (x, y)."""
    out = np.zeros(level.shape, np.bool_)
    for row in range(level.shape[0]):
        for column in range(level.shape[1]):
            k, x0, x1, y0, y1 = _rectangle(uv[row, column, 0], uv[row, column, 1], level[row, column], sizes)
            if k >= 0:
                across, down = sizes[0, 1] // sizes[k, 1], sizes[0, 0] // sizes[k, 0]
                out[row, column] = x0 <= x // across <= x1 and y0 <= y // down <= y1
    return out
