"""Splats as what they are: ellipses with a rim, blended front to back, for people to look at."""

from __future__ import annotations

import math

import numba
import numpy as np

from engine.kernels.settings import parallel_kernel
from engine.scene.camera import Camera
from engine.scene.gaussians import Gaussians
from engine.splats.constants import TILE
from engine.splats.numba_composite import rows_of
from engine.splats.numba_project import REACH, A, B, C, X, Y, project
from engine.splats.numba_splatter import View
from engine.splats.numba_tiles import binned

CHUNKS = 64
SIDE = TILE
PIXELS = SIDE * SIDE
LEVEL = 1.5  # standard deviations from the centre to the rim
RIM, FILL = 0.85, 0.05  # opacities
FULL = 0.02  # of a pixel's transmittance, under which nothing more is drawn
FLAT = np.float32(-16)  # third log scale of a disc
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)


@parallel_kernel
def draw(width, height, columns, starts, splats, ellipses, features, level, width_of_rim, image):
    """Fill `image` [H,W,4], premultiplied colour and alpha, with the rims at Mahalanobis distance `level`."""
    tiles = len(starts) - 1
    for index in numba.prange(CHUNKS):
        clear = np.empty(PIXELS, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            rows, across = min(SIDE, height - y0), min(SIDE, width - x0)
            clear[:] = ONE
            left = rows * across  # pixels that are not full
            for place in range(starts[tile], starts[tile + 1]):
                if left == 0:
                    break
                splat = splats[place]
                ellipse = ellipses[splat]
                a, b, c = ellipse[A], ellipse[B], ellipse[C]
                rim = min(level, np.float32(math.sqrt(ellipse[REACH])))
                first, last = rows_of(ellipse, np.float32(y0))
                for row in range(first, min(last, rows)):
                    dy = np.float32(y0 + row) + HALF - ellipse[Y]
                    v = c * dy
                    for k in range(across):
                        before = clear[row * SIDE + k]
                        if before < FULL:
                            continue
                        u = a * (np.float32(x0 + k) + HALF - ellipse[X]) + b * dy
                        distance = np.float32(math.sqrt(u * u + v * v))
                        slope_x, slope_y = a * u, b * u + c * v  # times distance: how it grows from pixel to pixel
                        slope = np.float32(math.sqrt(slope_x * slope_x + slope_y * slope_y))
                        pixels = (distance - rim) * distance / max(slope, np.float32(1e-12))  # from the rim, outward
                        if pixels > width_of_rim:
                            continue
                        alpha = np.float32(RIM) * min(max(width_of_rim - abs(pixels), ZERO), ONE)
                        if pixels < ZERO:
                            alpha = max(alpha, np.float32(FILL))
                        weight = alpha * before
                        for channel in range(3):
                            color = min(max(features[splat, channel], ZERO), ONE)
                            image[y0 + row, x0 + k, channel] += weight * color
                        image[y0 + row, x0 + k, 3] += weight
                        after = before - weight
                        clear[row * SIDE + k] = after
                        left -= after < FULL


def outlined(splats: Gaussians, camera: Camera, rim: float = 1.0) -> np.ndarray:
    """[H,W,4] float32 the splats' ellipses at LEVEL standard deviations as `camera` sees them, in their own colours.

    sRGB-encoded and premultiplied; `rim` is the width of a rim in pixels. Nothing is differentiable.
    """
    count, view = len(splats), View.of(camera)
    scales = splats.log_scales
    if splats.kind == "surface":
        scales = scales.copy()
        scales[:, 2] = FLAT
    arrays = [splats.means, splats.rotations, scales, splats.logits, splats.harmonics]
    ellipses, features = np.empty((count, 8), np.float32), np.empty((count, 3), np.float32)
    depths, bounds, radii = np.empty(count, np.float32), np.empty((count, 4), np.int32), np.empty(count, np.int32)
    project(
        *(np.ascontiguousarray(array, np.float32) for array in arrays), splats.shapes,
        view.view, view.position, view.lens, np.array([camera.width, camera.height]), splats.degree, False,
        ellipses, depths, bounds, radii, features,
    )  # fmt: skip
    tiles = binned(ellipses, depths, bounds, radii, camera.width, camera.height)
    image = np.zeros((*camera.size, 4), np.float32)
    draw(
        camera.width, camera.height, tiles.columns, tiles.starts, tiles.splats, ellipses, features,
        np.float32(LEVEL), np.float32(0.5 + 0.5 * rim), image,
    )  # fmt: skip
    return image
