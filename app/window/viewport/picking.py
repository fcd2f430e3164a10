"""What lies at a place of a drawn picture: a point of the surface, or a surface before something else."""

from __future__ import annotations

import numpy as np

from app.window.studio_signals import Picked
from app.window.viewport.drawing import Drawn


def picked_in(drawn: Drawn, column: int, row: int) -> Picked | None:
    """The point of a mesh at a pixel of a picture of a snapshot; None beside it."""
    snapshot, camera = drawn.request.snapshot, drawn.camera
    triangle = int(drawn.image.triangle_id[row, column]) - 1
    if triangle < 0 or snapshot.mesh is None:
        return None
    corners = snapshot.mesh.vertices[snapshot.mesh.triangles[triangle]].astype(float)
    pixels, depth = camera.project(corners)
    point = np.array([column + 0.5, row + 0.5, 1.0])
    flat = np.linalg.lstsq(np.vstack([pixels.T, np.ones(3)]), point, rcond=None)[0]  # straight on the screen
    weights = np.clip(flat / np.maximum(depth, 1e-12), 0, None)
    weights /= max(float(weights.sum()), 1e-12)
    return Picked(snapshot, triangle, tuple(float(w) for w in weights))


def covered(drawn: Drawn, places: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """[N] whether what is drawn lies before places [N,2], shares of the picture's width and height, at `depth` [N]."""
    surface = drawn.image.depth
    height, width = surface.shape
    column, row = np.clip(places * (width, height), -1e6, 1e6).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return inside & (surface[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] < depth)
