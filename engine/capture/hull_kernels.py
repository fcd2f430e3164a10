"""The inner loop of space carving."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import exact_kernel, parallel_kernel


@parallel_kernel
def carve_view(
    field: np.ndarray,  # [X,Y,Z] float32: largest signed distance over the views so far; updated
    seen: np.ndarray,  # [X,Y,Z] float32: how many views see the point, fading over `fade` at an image's border; updated
    silhouette: np.ndarray,  # [H,W] float32: signed distance in pixels, negative inside the object
    touches: bool,  # the object reaches the image border: nothing is known beyond it
    camera_from_grid: np.ndarray,  # [3,4] float64: grid index to camera space
    intrinsics: np.ndarray,  # [4] float64: fx, fy, cx, cy
    fade: float,  # capture units; 0: do not count
) -> None:
    """Carve `field` with one view; each grid point is written once, so any number of threads gives the same bits."""
    for i in prange(field.shape[0]):
        ix = np.int64(i)
        _carve_slab(field[ix], seen[ix], silhouette, touches, camera_from_grid, intrinsics, fade, ix)


@exact_kernel  # with reassociation the bits would depend on how the loop above is cut into chunks
def _carve_slab(field, seen, silhouette, touches, m, intrinsics, fade, ix):
    height, width = silhouette.shape
    fx, fy, cx, cy = intrinsics
    per_focal, per_fade = 1 / np.sqrt(fx * fy), 1 / max(fade, 1e-300)
    for iy in range(field.shape[0]):
        x0 = m[0, 0] * ix + m[0, 1] * iy + m[0, 3]
        y0 = m[1, 0] * ix + m[1, 1] * iy + m[1, 3]
        z0 = m[2, 0] * ix + m[2, 1] * iy + m[2, 3]
        for iz in range(field.shape[1]):
            x, y, z = x0 + m[0, 2] * iz, y0 + m[1, 2] * iz, z0 + m[2, 2] * iz
            if z <= 1e-30:  # behind the camera: not seen
                away = np.sqrt(x * x + y * y + z * z)
                if not touches and away > field[iy, iz]:
                    field[iy, iz] = away
                continue
            inverse = 1 / z
            u, v = fx * x * inverse + cx, fy * y * inverse + cy
            # distance to the image border in pixels, positive inside the image
            across, down = min(u, width - u), min(v, height - v)
            border = min(across, down)
            if border < 0:
                ax, ay = min(across, 0.0), min(down, 0.0)
                border = -np.sqrt(ax * ax + ay * ay)
            column = min(max(u - 0.5, 0.0), width - 1.0)
            row = min(max(v - 0.5, 0.0), height - 1.0)
            c, r = min(int(column), width - 2), min(int(row), height - 2)
            a, b = column - c, row - r
            distance = (1 - b) * ((1 - a) * silhouette[r, c] + a * silhouette[r, c + 1]) + b * (
                (1 - a) * silhouette[r + 1, c] + a * silhouette[r + 1, c + 1]
            )
            if touches:
                distance = min(distance, border)
            elif border < 0:
                distance = max(distance, 0.0) - border
            scale = z * per_focal
            distance *= scale
            if distance > field[iy, iz]:
                field[iy, iz] = distance
            if fade > 0:
                seen[iy, iz] += min(max(border * scale * per_fade + 0.5, 0.0), 1.0)
