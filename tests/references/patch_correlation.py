"""The patch correlation of PatchMatch stereo in plain float64 NumPy, through points in space instead of homographies.

The bilateral weights follow Schönberger et al. 2016 (Pixelwise View Selection, section 4.1), by luminance alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.geometry.stereo_kernels import CONTRAST, PLAIN, RADIUS, STRIDE
from engine.scene import Camera


def bilinear(image: np.ndarray, positions: np.ndarray) -> np.ndarray | None:
    """[N] values of an image [H,W] at pixel positions [N,2], pixel centres at +0.5; None where one is outside."""
    u, v = (positions - 0.5).T
    height, width = image.shape
    if not ((u >= 0) & (u < width - 1) & (v >= 0) & (v < height - 1)).all():
        return None
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    fu, fv = u - column, v - row
    upper = (1 - fu) * image[row, column] + fu * image[row, column + 1]
    lower = (1 - fu) * image[row + 1, column] + fu * image[row + 1, column + 1]
    return (1 - fv) * upper + fv * lower


def patch_cost(
    camera: Camera,
    image: np.ndarray,
    mask: np.ndarray,
    others: Sequence[tuple[Camera, np.ndarray]],
    pixel: tuple[int, int],
    plane: tuple[float, float, float],
) -> float:
    """1 - weighted correlation at a pixel (row, column), averaged over the best two others; NaN: nothing to correlate.

    plane: inverse depth at the pixel and its slopes per column and row.
    """
    y, x = pixel
    steps = STRIDE * np.arange(-RADIUS, RADIUS + 1)
    dy, dx = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
    row, column = y + dy, x + dx
    seen = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    seen[seen] = mask[row[seen], column[seen]]
    if seen.sum() < len(seen) // 2:
        return np.nan
    value, weight = np.zeros(len(seen)), np.zeros(len(seen))
    value[seen] = image[row[seen], column[seen]]
    weight[seen] = np.exp(-np.abs(value[seen] - image[y, x]) / CONTRAST)
    weight /= weight.sum()
    mean = weight @ value
    variance = weight @ (value - mean) ** 2
    if variance < PLAIN:
        return np.nan
    depth = 1 / (plane[0] + plane[1] * dx + plane[2] * dy)
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    local = np.stack([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, np.ones(len(seen))], -1) * depth[:, None]
    points = local @ camera.world_from_camera[:3, :3].T + camera.position
    correlations = []
    for other, picture in others:
        positions, along = other.project(points)
        ahead = (along / depth > 0).all()  # the point over its depth: planes may pass through the eye
        found = bilinear(picture.astype(np.float64), positions) if ahead else None
        if found is None:
            correlations.append(-1.0)
            continue
        middle = weight @ found
        spread = weight @ (found - middle) ** 2
        if spread < PLAIN:
            correlations.append(0.0)
        else:
            correlations.append(weight @ ((found - middle) * (value - mean)) / np.sqrt(spread * variance))
    return 1 - float(np.mean(sorted(correlations)[-2:]))
