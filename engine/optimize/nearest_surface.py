"""The nearest point of a triangle mesh to each of many points, exactly: a bounding-volume tree in numba."""

from __future__ import annotations

import math

import numpy as np

from engine.kernels.settings import exact_kernel

LEAF = 4  # triangles


class NearestSurface:
    """A tree over a mesh, to be asked many times; vertices [V,3], triangles [F,3] (at least one).

    A complete binary tree in heap order over runs of LEAF triangles that follow a Morton curve.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        corners = np.asarray(vertices, np.float64)[triangles]  # [F,3,3]
        self._order = np.argsort(_morton(corners.mean(1)), kind="stable")
        self._corners = np.ascontiguousarray(corners[self._order])
        self._boxes = _tree(self._corners.min(1), self._corners.max(1))

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(distance [N] float64, triangle [N] int64) of the nearest surface point of each of `points` [N,3]."""
        points = np.ascontiguousarray(points, np.float64)
        along = np.argsort(_morton(points), kind="stable")  # neighbours meet the same nodes in the cache
        squared, triangle = _nearest(points[along], self._corners, self._boxes)
        distances, triangles = np.empty(len(points)), np.empty(len(points), np.int64)
        distances[along], triangles[along] = np.sqrt(squared), self._order[triangle]
        return distances, triangles


def _morton(points: np.ndarray) -> np.ndarray:
    low, high = points.min(0), points.max(0)
    cell = ((points - low) / np.maximum(high - low, 1e-30) * 65535).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(16):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code


def _tree(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[2L-1,2,3] boxes in heap order over L leaves, a power of two; leaves beyond the last triangle are empty."""
    starts = np.arange(0, len(low), LEAF)
    leaves = 1 << max(0, int(np.ceil(np.log2(len(starts)))))
    boxes = np.empty((2 * leaves - 1, 2, 3))
    boxes[:, 0], boxes[:, 1] = np.inf, -np.inf
    boxes[leaves - 1 : leaves - 1 + len(starts), 0] = np.minimum.reduceat(low, starts)
    boxes[leaves - 1 : leaves - 1 + len(starts), 1] = np.maximum.reduceat(high, starts)
    level = leaves
    while level > 1:
        children = boxes[level - 1 : 2 * level - 1]
        level //= 2
        boxes[level - 1 : 2 * level - 1, 0] = np.minimum(children[0::2, 0], children[1::2, 0])
        boxes[level - 1 : 2 * level - 1, 1] = np.maximum(children[0::2, 1], children[1::2, 1])
    return boxes


@exact_kernel
def _box_distance(point, box):
    """Squared distance from a point to a box."""
    total = 0.0
    for axis in range(3):
        outside = max(box[0, axis] - point[axis], point[axis] - box[1, axis], 0.0)
        total += outside * outside
    return total


@exact_kernel
def _triangle_distance(point, corners):
    """Squared distance from a point to a triangle (Ericson, Real-Time Collision Detection, 5.1.5).

    A triangle without area is its longest edge: every edge is asked where the inside test does not decide.
    """
    abx, aby, abz = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    acx, acy, acz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    apx, apy, apz = point[0] - corners[0, 0], point[1] - corners[0, 1], point[2] - corners[0, 2]
    nx, ny, nz = aby * acz - abz * acy, abz * acx - abx * acz, abx * acy - aby * acx
    area = nx * nx + ny * ny + nz * nz
    if area > 0.0:
        # barycentric coordinates of the projection
        v = ((apy * acz - apz * acy) * nx + (apz * acx - apx * acz) * ny + (apx * acy - apy * acx) * nz) / area
        w = ((aby * apz - abz * apy) * nx + (abz * apx - abx * apz) * ny + (abx * apy - aby * apx) * nz) / area
        if v >= 0.0 and w >= 0.0 and v + w <= 1.0:
            height = apx * nx + apy * ny + apz * nz
            return height * height / area
    best = math.inf
    for i in range(3):
        j = (i + 1) % 3
        ex, ey, ez = corners[j, 0] - corners[i, 0], corners[j, 1] - corners[i, 1], corners[j, 2] - corners[i, 2]
        px, py, pz = point[0] - corners[i, 0], point[1] - corners[i, 1], point[2] - corners[i, 2]
        length = ex * ex + ey * ey + ez * ez
        t = 0.0
        if length > 0.0:
            t = min(1.0, max(0.0, (px * ex + py * ey + pz * ez) / length))
        dx, dy, dz = px - t * ex, py - t * ey, pz - t * ez
        best = min(best, dx * dx + dy * dy + dz * dz)
    return best


@exact_kernel
def _nearest(points, corners, boxes):
    """(squared distances [N], index into corners [N]); the last answer bounds the next search."""
    count, inner = len(points), len(boxes) // 2
    distances, found = np.empty(count), np.empty(count, np.int64)
    stack, bounds = np.empty(64, np.int64), np.empty(64)  # deeper than any tree that fits in memory
    last = 0
    for i in range(count):
        point = points[i]
        best_triangle = last
        best = _triangle_distance(point, corners[last])
        stack[0], bounds[0] = 0, _box_distance(point, boxes[0])
        top = 1
        while top > 0:
            top -= 1
            if bounds[top] >= best:
                continue
            node = stack[top]
            if node >= inner:
                first = (node - inner) * LEAF
                for triangle in range(first, min(first + LEAF, len(corners))):
                    distance = _triangle_distance(point, corners[triangle])
                    if distance < best:
                        best, best_triangle = distance, triangle
                continue
            near, far = 2 * node + 1, 2 * node + 2
            near_bound, far_bound = _box_distance(point, boxes[near]), _box_distance(point, boxes[far])
            if far_bound < near_bound:
                near, far, near_bound, far_bound = far, near, far_bound, near_bound
            if far_bound < best:
                stack[top], bounds[top] = far, far_bound
                top += 1
            if near_bound < best:
                stack[top], bounds[top] = near, near_bound
                top += 1
        distances[i], found[i] = best, best_triangle
        last = best_triangle
    return distances, found
