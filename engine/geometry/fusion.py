"""Depth maps fused into a truncated signed distance field (Curless and Levoy 1996)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import prange

from engine.kernels.settings import parallel_kernel
from engine.scene import Camera

TRUNCATION = 3.0  # cells


@parallel_kernel
def fuse_view(points, camera_from_world, fx, fy, cx, cy, depth, truncation, share, distance, weight):
    """Add one depth map [H,W] (camera depth, inf = background) to sums of truncated signed distance [N], `share` times.

    Positive in front of the surface. Where the surface hides the point by more than `truncation`, nothing is known.
    """
    height, width = depth.shape
    for p_ in prange(points.shape[0]):
        p = np.int64(p_)
        x = camera_from_world[0, 0] * points[p, 0] + camera_from_world[0, 1] * points[p, 1]
        y = camera_from_world[1, 0] * points[p, 0] + camera_from_world[1, 1] * points[p, 1]
        z = camera_from_world[2, 0] * points[p, 0] + camera_from_world[2, 1] * points[p, 1]
        x += camera_from_world[0, 2] * points[p, 2] + camera_from_world[0, 3]
        y += camera_from_world[1, 2] * points[p, 2] + camera_from_world[1, 3]
        z += camera_from_world[2, 2] * points[p, 2] + camera_from_world[2, 3]
        if z > 1e-9:
            u, v = fx * x / z + cx, fy * y / z + cy
            if 0 <= u < width and 0 <= v < height:
                seen = depth[int(v), int(u)]
                if np.isfinite(seen):
                    gap = seen - z
                    if gap > -truncation:
                        distance[p] += share * min(gap, truncation)
                        weight[p] += share


def fused_distance(
    maps: Iterable[tuple[Camera, np.ndarray, float]], box: np.ndarray, resolution: int, truncation: float = TRUNCATION
) -> np.ndarray:
    """[R+1,R+1,R+1] truncated signed distance, capture units, of depth maps with their weights.

    A map is [H,W] camera depth, inf where nothing is known. Negative inside and wherever no map sees; `truncation` in
    cells.
    """
    box = np.asarray(box, np.float64)
    cell = float((box[1] - box[0]).max() / resolution)
    line = [np.linspace(box[0, k], box[1, k], resolution + 1) for k in range(3)]
    points = np.stack(np.meshgrid(*line, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    distance, weight = np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)
    limit = np.float32(truncation * cell)
    for camera, depth, share in maps:
        depth = np.ascontiguousarray(depth, np.float32)
        lens = (*(np.float32(f) for f in camera.focal), *(np.float32(c) for c in camera.centre))
        pose = camera.camera_from_world.astype(np.float32)
        fuse_view(points, pose, *lens, depth, limit, np.float32(share), distance, weight)
    fused = np.where(weight > 0, distance / np.maximum(weight, np.float32(1e-6)), -limit)
    return fused.reshape(resolution + 1, resolution + 1, resolution + 1).astype(np.float32)
