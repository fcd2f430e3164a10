"""Whether photographs agree about a surface point, and what a carved volume may keep of the hull where they do.

A volume explains a plain wall as well by fog behind it. Where the hull's own surface is as consistent between photos as
the carved one, nothing asked for the carving, and the hull stands (compare Kutulakos and Seitz 2000, space carving).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_closing, binary_fill_holes, map_coordinates
from scipy.spatial import cKDTree

from engine.scene import Camera, Mesh

STEEPEST = 0.3  # least cosine between a point's normal and the view
TOLERANCE = 0.03  # sRGB-encoded: colour deviation that is noise
FACTOR = 1.5  # how much more the hull's colours may vary than the carved surface's
NEIGHBOURS = 150  # surface points that decide together


def _sampled(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values [N,C] of an image [H,W,C] at pixel positions [N,2] (centres at +0.5)."""
    at = [pixels[:, 1] - 0.5, pixels[:, 0] - 0.5]
    return np.stack([map_coordinates(image[..., c], at, order=1, mode="nearest") for c in range(image.shape[2])], 1)


def color_variance(
    points: np.ndarray,
    normals: np.ndarray,
    cameras: Sequence[Camera],
    photos: Sequence[np.ndarray],
    depths: Sequence[np.ndarray],
    slack: float,
) -> np.ndarray:
    """[N] variance of encoded colour between the photos that see each point; inf where fewer than two do.

    photos: [H,W,3] sRGB-encoded; depths: [H,W] camera depth of the surface the points lie on, inf = background; a point
    is seen when it lies at most `slack` (capture units) behind that.
    """
    count, total, square = np.zeros(len(points)), np.zeros((len(points), 3)), np.zeros(len(points))
    for camera, photo, depth in zip(cameras, photos, depths, strict=True):
        pixels, along = camera.project(points)
        toward = camera.position - points
        toward /= np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-12)
        inside = (along > 0) & (pixels > 1).all(1) & (pixels < [camera.width - 1, camera.height - 1]).all(1)
        inside &= (normals * toward).sum(1) > STEEPEST
        index = np.flatnonzero(inside)
        column, row = pixels[index].astype(int).T
        index = index[along[index] < depth[row, column] + slack]
        color = _sampled(photo, pixels[index])
        count[index] += 1
        total[index] += color
        square[index] += (color**2).sum(1)
    mean = total / np.maximum(count, 1)[:, None]
    variance = square / np.maximum(count, 1) - (mean**2).sum(1)
    return np.where(count >= 2, np.maximum(variance, 0), np.inf)


def first_inside(field: np.ndarray, origins: np.ndarray, directions: np.ndarray, reach: int) -> np.ndarray:
    """[N] cells until `field` first turns negative along rays in grid coordinates, in half cells; `reach` if never."""
    depth = np.full(len(origins), float(reach))
    open_ = np.ones(len(origins), bool)
    for step in range(2 * reach):
        index = np.flatnonzero(open_)
        if not len(index):
            break
        at = origins[index] + directions[index] * (step / 2)
        hit = map_coordinates(field, at.T, order=1, mode="nearest") < 0
        depth[index[hit]] = step / 2
        open_[index[hit]] = False
    return depth


def hull_where_consistent(
    hull_field: np.ndarray,
    carved_field: np.ndarray,
    box: np.ndarray,
    hull: Mesh,
    carved_depths: Sequence[np.ndarray],
    hull_depths: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    photos: Sequence[np.ndarray],
) -> np.ndarray:
    """`carved_field` with what lies behind consistent hull surface filled again; both fields [R+1,R+1,R+1]."""
    box = np.asarray(box, np.float64)
    resolution = carved_field.shape[0] - 1
    cell = float((box[1] - box[0]).max()) / resolution
    vertices, normals = hull.vertices.astype(np.float64), hull.vertex_normals().astype(np.float64)
    grid = (vertices - box[0]) / cell
    depth = first_inside(carved_field, grid, -normals, resolution)
    carved = np.flatnonzero((depth > 0.75) & (depth < resolution))
    if not len(carved):
        return carved_field
    on_hull = color_variance(vertices[carved], normals[carved], cameras, photos, hull_depths, 2 * cell)
    behind = vertices[carved] - normals[carved] * depth[carved, None] * cell
    on_carved = color_variance(behind, normals[carved], cameras, photos, carved_depths, 2 * cell)
    known = np.isfinite(on_hull) & np.isfinite(on_carved)
    if not known.any():
        return carved_field
    # A plain patch agrees with anything: what surrounds it decides with it.
    count = min(NEIGHBOURS, int(known.sum()))
    _, near = cKDTree(vertices[carved][known]).query(vertices[carved], k=count, workers=2)
    near = near.reshape(len(carved), -1)
    keep = on_hull[known][near].mean(1) <= FACTOR * on_carved[known][near].mean(1) + TOLERANCE**2
    filled = np.zeros(carved_field.shape, bool)
    for vertex in carved[keep]:
        steps = np.arange(0, depth[vertex] + 0.5, 0.5)[:, None]
        at = np.rint(grid[vertex] - normals[vertex] * steps).astype(int).clip(0, resolution)
        filled[tuple(at.T)] = True
    filled = binary_closing(np.pad(filled, 2), iterations=2)[2:-2, 2:-2, 2:-2] | filled
    inside = (carved_field < 0) | (filled & (hull_field < 0))
    filled = binary_fill_holes(inside) & (carved_field >= 0)  # no bubbles between what was kept and what was solid
    return np.where(filled, np.minimum(hull_field, -0.25 * cell), carved_field)
