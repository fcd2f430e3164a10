"""Which vertices a pixel is credited to: those whose positions the shading of its triangle reads.

With normals per face these are the triangle's three vertices. Smooth vertex normals are sums over the triangles at a
vertex, so that they bring in the one-ring of each of the three.
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

THREADS = 16  # most private buffers; sums of integers are the same whatever their number


@dataclass(frozen=True)
class Stencils:
    """The vertices that the shading of each triangle reads, as compressed rows; no vertex twice in a row."""

    start: np.ndarray  # [F+1] int32
    vertex: np.ndarray  # [start[F]] int32
    vertex_count: int

    @staticmethod
    def flat(triangles: np.ndarray, vertex_count: int) -> Stencils:
        """The three corners of every triangle [F,3]: positions and attributes of the corners, or face normals."""
        triangles = np.ascontiguousarray(triangles, np.int32)
        start = np.arange(len(triangles) + 1, dtype=np.int32) * 3
        repeated = (triangles[:, [0, 0, 1]] == triangles[:, [1, 2, 2]]).any(1)
        if not repeated.any():
            return Stencils(start, triangles.reshape(-1), vertex_count)
        corners = np.sort(triangles, axis=1)
        first = np.pad(corners[:, 1:] != corners[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        start = np.concatenate([[0], np.cumsum(first.sum(1))]).astype(np.int32)
        return Stencils(start, corners[first], vertex_count)

    @staticmethod
    def smooth(triangles: np.ndarray, vertex_count: int) -> Stencils:
        """Every vertex of every triangle that touches a corner of the triangle: smooth vertex normals."""
        triangles = np.ascontiguousarray(triangles, np.int32)
        offset, around = _triangles_around(triangles, vertex_count)
        count = np.zeros(len(triangles) + 1, np.int32)
        chunks = _threads(len(triangles), 512)
        _one_rings(triangles, offset, around, vertex_count, chunks, count, np.empty(0, np.int32))
        start = np.cumsum(count, dtype=np.int32)
        vertex = np.empty(start[-1], np.int32)
        _one_rings(triangles, offset, around, vertex_count, chunks, start, vertex)
        return Stencils(start, vertex, vertex_count)


def _threads(items: int, least: int) -> int:
    """How many private buffers to use for `items` items, each of at least `least`."""
    return max(1, min(numba.get_num_threads(), THREADS, items // least))


@kernel
def _triangles_around(triangles, vertex_count):
    """Offsets [V+1] and, vertex by vertex, the triangles at it."""
    offset = np.zeros(vertex_count + 1, np.int32)
    for f in range(triangles.shape[0]):
        for k in range(3):
            offset[triangles[f, k] + 1] += 1
    for v in range(vertex_count):
        offset[v + 1] += offset[v]
    place = offset[:-1].copy()
    around = np.empty(triangles.size, np.int32)
    for f in range(triangles.shape[0]):
        for k in range(3):
            v = triangles[f, k]
            around[place[v]] = f
            place[v] += 1
    return offset, around


@parallel_kernel
def _one_rings(triangles, offset, around, vertex_count, chunks, start, vertex):
    """Without room in `vertex` counts the one-ring of triangle f into start[f + 1], else writes it from start[f]."""
    counting = vertex.shape[0] == 0
    for c in prange(chunks):
        chunk = np.int64(c)
        low, high = chunk_bounds(chunk, chunks, triangles.shape[0])
        seen = np.full(vertex_count, -1, np.int32)
        for f in range(low, high):
            count = 0 if counting else np.int64(start[f])
            for k in range(3):
                v = triangles[f, k]
                for slot in range(offset[v], offset[v + 1]):
                    t = around[slot]
                    for m in range(3):
                        w = triangles[t, m]
                        if seen[w] != f:
                            seen[w] = f
                            if not counting:
                                vertex[count] = w
                            count += 1
            if counting:
                start[f + 1] = count


@parallel_kernel
def _sum_pixels(fixed, ids_plus, ids_minus, start, vertex, by_triangle, by_vertex):
    """Pixels that show one triangle in both images add to it, the others to both triangles' vertices, each once."""
    height, width = fixed.shape
    chunks = by_triangle.shape[0]
    for c in prange(chunks):
        chunk = np.int64(c)
        triangle_sums, vertex_sums = by_triangle[chunk], by_vertex[chunk]
        triangle_sums[:] = 0
        vertex_sums[:] = 0
        seen = np.full(vertex_sums.shape[0], -1, np.int64)
        low, high = chunk_bounds(chunk, chunks, height)
        for y in range(low, high):
            for x in range(width):
                value = fixed[y, x]
                if value == 0:
                    continue
                a, b = ids_plus[y, x], ids_minus[y, x]
                if a == b:
                    if a > 0:
                        triangle_sums[a - 1] += value
                    continue
                if a > 0:
                    for slot in range(start[a - 1], start[a]):
                        v = vertex[slot]
                        seen[v] = y * width + x
                        vertex_sums[v] += value
                if b > 0:
                    for slot in range(start[b - 1], start[b]):
                        v = vertex[slot]
                        if seen[v] != y * width + x:
                            vertex_sums[v] += value


@parallel_kernel
def _spread_triangles(by_triangle, start, vertex, by_vertex):
    """Each chunk of triangles adds its sums to the vertices of the chunk's own buffer."""
    chunks, count = by_triangle.shape
    for c in prange(chunks):
        chunk = np.int64(c)
        own = by_vertex[chunk]
        low, high = chunk_bounds(chunk, chunks, count)
        for f in range(low, high):
            total = np.int32(0)
            for other in range(chunks):
                total += by_triangle[other, f]
            if total != 0:
                for slot in range(start[f], start[f + 1]):
                    own[vertex[slot]] += total


@register("vertices")
@dataclass(frozen=True)
class VertexCredit:
    """Credits a pixel to the stencils of the triangles that it shows in the two images."""

    ids_plus: np.ndarray  # [H,W] int32, 0 = background, i + 1 = triangle i
    ids_minus: np.ndarray  # [H,W]
    stencils: Stencils

    @property
    def rows(self) -> int:
        """The number of vertices."""
        return self.stencils.vertex_count

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """See `credit.CreditRule.sums`."""
        stencils = self.stencils
        chunks = _threads(fixed.size, 8192)
        by_triangle = np.empty((chunks, len(stencils.start) - 1), np.int32)
        by_vertex = np.empty((chunks, self.rows), np.int32)
        _sum_pixels(fixed, self.ids_plus, self.ids_minus, stencils.start, stencils.vertex, by_triangle, by_vertex)
        _spread_triangles(by_triangle, stencils.start, stencils.vertex, by_vertex)
        return by_vertex.sum(0, dtype=np.int32) if chunks > 1 else by_vertex[0]

    def pixels(self, row: int) -> np.ndarray:
        """See `credit.CreditRule.pixels`."""
        start = self.stencils.start.astype(np.int64)
        holds = np.zeros(len(start), bool)  # by id; none of the background
        slots = np.flatnonzero(self.stencils.vertex == row)
        holds[np.searchsorted(start, slots, side="right")] = True
        return holds[self.ids_plus] | holds[self.ids_minus]

    def support(self) -> Tensor:
        """See `credit.CreditRule.support`."""
        start, vertex = (torch.from_numpy(part).long() for part in (self.stencils.start, self.stencils.vertex))
        pairs = []
        for ids in (self.ids_plus, self.ids_minus):
            pixel = torch.from_numpy(np.flatnonzero(ids))
            triangle = torch.from_numpy(np.ascontiguousarray(ids)).reshape(-1)[pixel].long() - 1
            count = start[triangle + 1] - start[triangle]
            item = torch.repeat_interleave(torch.arange(len(pixel)), count)
            within = torch.arange(len(item)) - (torch.cumsum(count, 0) - count)[item]
            pairs.append(torch.stack([pixel[item], vertex[start[triangle][item] + within]], 1))
        return torch.cat(pairs)
