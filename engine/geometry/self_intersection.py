"""Triangles that pass through one another, found with a uniform grid."""

from __future__ import annotations

import numpy as np

from engine.kernels.settings import exact_kernel

# Cells per axis at most, and grid entries per triangle beyond which the grid is made coarser.
MOST_CELLS = 128
MOST_ENTRIES = 30


@exact_kernel
def _orientation(points, a, b, c, d):
    """Six times the signed volume of the tetrahedron of four points."""
    ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
    vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
    wx, wy, wz = points[d, 0] - points[a, 0], points[d, 1] - points[a, 1], points[d, 2] - points[a, 2]
    return ux * (vy * wz - vz * wy) - uy * (vx * wz - vz * wx) + uz * (vx * wy - vy * wx)


@exact_kernel
def _cross(points, triangles, first, second):
    """Whether two triangles pass through one another: a side of one through the inside of the other.

    Touching, sides at a shared vertex, and lying in one plane do not count.
    """
    for side in range(6):
        cutter, other = (first, second) if side < 3 else (second, first)
        p, q = triangles[cutter, side % 3], triangles[cutter, (side + 1) % 3]
        a, b, c = triangles[other, 0], triangles[other, 1], triangles[other, 2]
        if p == a or p == b or p == c or q == a or q == b or q == c:
            continue
        if not _orientation(points, a, b, c, p) * _orientation(points, a, b, c, q) < 0.0:
            continue
        left = right = True
        for k in range(3):
            turn = _orientation(points, p, q, triangles[other, k], triangles[other, (k + 1) % 3])
            left = left and turn > 0.0
            right = right and turn < 0.0
        if left or right:
            return True
    return False


@exact_kernel
def _count_entries(low, high):
    total = 0
    for t in range(len(low)):
        total += (high[t, 0] - low[t, 0] + 1) * (high[t, 1] - low[t, 1] + 1) * (high[t, 2] - low[t, 2] + 1)
    return total


@exact_kernel
def _fill_grid(low, high, cells):
    """(first entry of each cell [cells^3 + 1], triangle of each entry)."""
    first = np.zeros(cells**3 + 1, np.int64)
    for fill in range(2):
        if fill == 1:
            for i in range(cells**3):
                first[i + 1] += first[i]
            entries = np.empty(first[-1], np.int32)
            place = first.copy()
        for t in range(len(low)):
            for x in range(low[t, 0], high[t, 0] + 1):
                for y in range(low[t, 1], high[t, 1] + 1):
                    for z in range(low[t, 2], high[t, 2] + 1):
                        cell = (x * cells + y) * cells + z
                        if fill == 0:
                            first[cell + 1] += 1
                        else:
                            entries[place[cell]] = t
                            place[cell] += 1
    return first, entries


@exact_kernel
def _test(points, triangles, boxes, low, high, cells, first, entries, sample, found):
    """Set found[i] where triangle sample[i] passes through any other; boxes [F,2,3]."""
    for i in range(len(sample)):
        t = sample[i]
        for x in range(low[t, 0], high[t, 0] + 1):
            for y in range(low[t, 1], high[t, 1] + 1):
                for z in range(low[t, 2], high[t, 2] + 1):
                    cell = (x * cells + y) * cells + z
                    for entry in range(first[cell], first[cell + 1]):
                        other = entries[entry]
                        if found[i] or other == t:
                            continue
                        apart = False
                        for axis in range(3):
                            if boxes[t, 0, axis] > boxes[other, 1, axis] or boxes[other, 0, axis] > boxes[t, 1, axis]:
                                apart = True
                        if not apart and _cross(points, triangles, t, other):
                            found[i] = True


def _welded(points: np.ndarray) -> np.ndarray:
    """[V] int64 the first vertex at the same place as each."""
    order = np.lexsort((np.arange(len(points)), *points.T))
    ordered = points[order]
    fresh = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(1)])
    first = np.empty(len(points), np.int64)
    first[order] = order[fresh][np.cumsum(fresh) - 1]
    return first


def self_intersecting(vertices: np.ndarray, triangles: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """[N] bool: which of the triangles `sample` [N] pass through another one of the mesh.

    Vertices at the same place count as one, so touching sheets do not intersect; neither do coplanar triangles.
    """
    if len(triangles) == 0 or len(sample) == 0:
        return np.zeros(len(sample), bool)
    points = vertices.astype(np.float64)
    triangles = _welded(points)[triangles]
    corners = points[triangles]
    boxes = np.ascontiguousarray(np.stack([corners.min(1), corners.max(1)], 1))
    origin = boxes[:, 0].min(0)
    extent = float((boxes[:, 1].max(0) - origin).max()) or 1.0
    cells = int(np.clip(extent / (2 * np.mean(np.ptp(boxes, axis=1).max(-1)) + 1e-30), 1, MOST_CELLS))
    while True:
        index = np.clip((boxes - origin) * (cells / extent), 0, cells - 1).astype(np.int64)
        low, high = np.ascontiguousarray(index[:, 0]), np.ascontiguousarray(index[:, 1])
        if cells == 1 or _count_entries(low, high) <= MOST_ENTRIES * len(triangles) + 1000:
            break
        cells //= 2
    first, entries = _fill_grid(low, high, cells)
    found = np.zeros(len(sample), bool)
    _test(points, triangles, boxes, low, high, cells, first, entries, np.asarray(sample, np.int64), found)
    return found
