"""Which part of a photo a training step has to look at: where the object is, and where the mesh is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.scene import Camera

MARGIN = 11  # pixels: twice the radius of SSIM's window, and one for antialiasing
STEP = 16  # pixels; crops grow in such steps, so that they rarely change as the mesh moves


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole pixels; columns x0 to x1 - 1, rows y0 to y1 - 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    def union(self, other: Crop) -> Crop:
        """The smallest crop that holds both."""
        return Crop(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def widened(self, size: tuple[int, int]) -> Crop:
        """With a margin on every side, out to multiples of STEP, cut to an image of `size` (height, width)."""
        low = [max(0, (value - MARGIN) // STEP * STEP) for value in (self.x0, self.y0)]
        high = [
            min(side, -(-(value + MARGIN) // STEP) * STEP)
            for value, side in zip((self.x1, self.y1), size[::-1], strict=True)
        ]
        return Crop(*low, *high)


def object_crop(alpha: np.ndarray) -> Crop | None:
    """Where alpha [H,W] is not zero; None where it is everywhere."""
    columns, rows = np.flatnonzero(alpha.any(0)), np.flatnonzero(alpha.any(1))
    if not len(rows):
        return None
    return Crop(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def surface_crop(points: np.ndarray, camera: Camera) -> Crop | None:
    """What triangles between `points` [N,3] can cover of the camera's image; None if nothing, all of it if a point lies
    behind the camera or is not finite."""
    pixels, depth = camera.project(points)
    sides = np.array([camera.width, camera.height])
    if not (depth > 0).all() or not np.isfinite(pixels).all():
        return Crop(0, 0, camera.width, camera.height)
    low = np.clip(np.floor(pixels.min(0)), 0, sides).astype(int)
    high = np.clip(np.ceil(pixels.max(0)), 0, sides).astype(int)
    return Crop(*low.tolist(), *high.tolist()) if (low < high).all() else None
