"""A ball in a box, cameras around it, and what they see of it."""

from __future__ import annotations

import numpy as np

from engine.scene import Camera
from engine.scene.camera import look_at

BOX = np.array([[-1.0] * 3, [1.0] * 3])
RADIUS = 0.55


def ball(resolution: int, radius: float = RADIUS) -> np.ndarray:
    """[R+1,R+1,R+1] signed distance of a ball in BOX."""
    axis = np.linspace(-1, 1, resolution + 1)
    return np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1), axis=-1) - radius


def views(count: int, size: int = 96) -> list[Camera]:
    """Cameras all around."""
    cameras = []
    for i in range(count):
        z, angle = 1 - 2 * (i + 0.5) / count, i * 2.4
        flat = np.sqrt(1 - z * z)
        eye = 3 * np.array([flat * np.cos(angle), flat * np.sin(angle), z])
        cameras.append(look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]), 1.2 * size, size, size))
    return cameras


def ball_depth(camera: Camera, radius: float = RADIUS) -> np.ndarray:
    """[H,W] camera depth of the ball, inf beside it."""
    origin, directions = camera.rays()
    along = -(directions @ origin)
    inside = radius**2 - (origin @ origin - along**2)
    distance = along - np.sqrt(np.maximum(inside, 0))
    return np.where(inside > 0, distance * (directions @ camera.forward), np.inf)
