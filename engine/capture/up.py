"""Which way is up, from the cameras alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.scene.camera import Camera


def up_direction(cameras: Sequence[Camera]) -> tuple[np.ndarray, str]:
    """(unit up direction [3], how it was found) of hand-held cameras.

    A camera held level has its x axis horizontal, so up is perpendicular to all of them: the eigenvector of sum x x^T
    with the least eigenvalue. Where the x axes do not span a plane, it is the mean of the cameras' own up (-y) axes.
    """
    if not cameras:
        return np.array([0.0, 0.0, 1.0]), "no cameras: +z assumed"
    poses = np.array([camera.world_from_camera for camera in cameras])
    mean = -poses[:, :3, 1].mean(0)
    values, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", poses[:, :3, 0], poses[:, :3, 0]) / len(poses))
    level = vectors[:, 0] * (1 if vectors[:, 0] @ mean >= 0 else -1)
    length = float(np.linalg.norm(mean))
    if values[1] > 0.05 and values[0] < 0.2 * values[1] and (length < 0.2 or level @ mean / length > 0.7):
        return level, "the cameras: perpendicular to their horizontal axes"
    if length < 1e-3:
        return np.array([0.0, 0.0, 1.0]), "the cameras have no common up: +z assumed; set capture.up"
    return mean / length, "the cameras: the mean of their upward axes"
