"""Cameras that all stand at one place, which no shape can be seen from; often their poses are inverted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.scene.camera import Camera

SAME_PLACE = 1e-9  # of the coordinates' size: positions that differ by less are one


def is_one_place(positions: np.ndarray) -> bool:
    """Whether `positions` [N,3] are equal but for rounding."""
    return float(np.ptp(positions, axis=0).max()) <= SAME_PLACE * max(1.0, float(np.abs(positions).max()))


def same_place_problem(cameras: Sequence[Camera], which: str = "all cameras") -> str:
    """A sentence where `cameras` stand at one place, else ''.

    Poses inverted around a centre put them there: what is read as their place is that of the origin in every view.
    """
    positions = np.array([camera.position for camera in cameras])
    if not is_one_place(positions):
        return ""
    inverted = np.array([camera.camera_from_world[:3, 3] for camera in cameras])
    if is_one_place(inverted) or not _sees(cameras[0], positions[0]):
        return f"{which} stand at the same place, so no depth can be recovered; move between photos"
    return (
        f"{which} stand at the same place, as if their poses were inverted (camera from world instead of world from "
        "camera): inverted, they look at the origin from all around; correct them, or move between photos"
    )


def _sees(camera: Camera, point: np.ndarray) -> bool:
    """Whether the image holds `point` [3] of the camera's own axes, about; they may look along +z or -z."""
    across = np.abs(point[:2]) * camera.focal
    return bool((across < np.abs(point[2]) * np.array([camera.width, camera.height])).all())
