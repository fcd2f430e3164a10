"""Ambient occlusion: how much of the hemisphere above a point the object itself leaves open. NumPy, no gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.errors import Cancelled
from engine.raster.rays import RayCaster
from engine.shading.monte_carlo_kernels import cosine_directions

CHUNK = 1 << 20  # rays in flight; bounds the memory at some 40 MB


def ambient_occlusion(
    caster: RayCaster,  # over the surface that covers
    points: np.ndarray,  # [P,3] on the surface
    normals: np.ndarray,  # [P,3] unit, outward
    rays: int = 64,
    seed: int = 0,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """[P] float32 in [0,1]: the cosine-weighted share of the hemisphere above each point that is open (glTF's).

    `rays` evenly spread rays per point, turned at random from point to point: on the sample capture's cup the error's
    root mean square is 0.037 / 0.013 / 0.005 at 16 / 64 / 256 rays. The same seed gives the same bits. A ray takes
    about 0.25 microseconds (64 rays at a million points: 16 s), so ask for vertices rather than texels and interpolate.
    Rays start 1e-4 of the mesh's extent above the surface. Raises Cancelled.
    """
    points = np.ascontiguousarray(points, np.float32).reshape(-1, 3)
    normals = np.ascontiguousarray(normals, np.float32).reshape(-1, 3)
    lift = 1e-4 * float(np.ptp(caster.vertices, axis=0).max())
    open_share = np.empty(len(points), np.float32)
    step = max(CHUNK // max(rays, 1), 1)
    for start in range(0, len(points), step):
        if cancelled is not None and cancelled():
            raise Cancelled("ambient occlusion was stopped")
        normal = normals[start : start + step]
        directions = np.empty((len(normal), rays, 3), np.float32)
        cosine_directions(normal, seed, start, directions)
        origins = np.repeat(points[start : start + step] + lift * normal, rays, 0)
        hit = caster.occluded(origins, directions.reshape(-1, 3)).reshape(-1, rays)
        open_share[start : start + step] = 1 - hit.mean(1)
    return open_share
