"""Displacement maps of subdivided surfaces: which texels lift which vertex, and which texels are neighbours on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TAPS = 4


@dataclass(frozen=True)
class DisplacementTaps:
    """Per vertex of a surface the four texels of its bilinear look-up; a vertex has one place in the map, so that the
    surface does not tear at the seams of its charts."""

    texels: np.ndarray  # [N,4] int64 into the map, row by row; a texel may be named twice
    weights: np.ndarray  # [N,4] float64, sum 1
    size: tuple[int, int]  # (height, width) of the map

    @staticmethod
    def of(
        triangles: np.ndarray,  # [F,3] of the surface
        vertex_count: int,
        uvs: np.ndarray,  # [T,2] origin top-left
        uv_triangles: np.ndarray,  # [F,3]
        size: tuple[int, int],
    ) -> DisplacementTaps:
        """The taps at each vertex's texture coordinates; of several at a seam those of its first corner count."""
        place = np.zeros((vertex_count, 2))
        corner, vertex = np.asarray(uv_triangles).reshape(-1), np.asarray(triangles).reshape(-1)
        place[vertex[::-1]] = np.asarray(uvs, np.float64)[corner[::-1]]
        height, width = size
        x, y = place[:, 0] * width - 0.5, place[:, 1] * height - 0.5
        left, top = np.floor(x), np.floor(y)
        columns = np.clip(np.stack([left, left + 1], 1), 0, width - 1).astype(np.int64)
        rows = np.clip(np.stack([top, top + 1], 1), 0, height - 1).astype(np.int64)
        across = np.stack([1 - (x - left), x - left], 1)
        down = np.stack([1 - (y - top), y - top], 1)
        texels = rows[:, :, None] * width + columns[:, None, :]
        weights = down[:, :, None] * across[:, None, :]
        return DisplacementTaps(texels.reshape(-1, TAPS), weights.reshape(-1, TAPS), (height, width))

    def heights(self, texture: np.ndarray) -> np.ndarray:
        """[N] what the map [H,W] (or flat) says at every vertex."""
        return (np.asarray(texture).reshape(-1)[self.texels] * self.weights).sum(1)

    def gradient(self, slopes: np.ndarray) -> np.ndarray:
        """[H W] derivative with respect to the map of what has the derivative `slopes` [N] in `heights`."""
        total = self.size[0] * self.size[1]
        return np.bincount(self.texels.reshape(-1), (self.weights * slopes[:, None]).reshape(-1), total)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(start [N+1], texel) of the taps that count at each vertex, for `subdivision.read_rows`."""
        counts = self.weights > 0
        start = np.concatenate([[0], np.cumsum(counts.sum(1))]).astype(np.int32)
        return start, self.texels[counts].astype(np.int32)

    def edges(self, triangles: np.ndarray) -> np.ndarray:
        """[E,2] neighbouring texels: taps of one vertex, and the strongest taps of two vertices that share an edge.

        The latter join charts across their seams.
        """
        a, b, c, d = self.texels.T
        pairs = [np.stack(pair, 1) for pair in ((a, b), (a, c), (b, d), (c, d))]
        strongest = self.texels[np.arange(len(self.texels)), self.weights.argmax(1)]
        ends = strongest[np.stack([triangles, np.roll(triangles, -1, 1)], -1).reshape(-1, 2)]
        found = np.concatenate([*pairs, ends])
        found = np.unique(np.sort(found, 1), axis=0)
        return found[found[:, 0] != found[:, 1]]
