"""A camera as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.scene.camera import Camera
from engine.splats.constants import JACOBIAN_LIMIT

MOTION = 10  # numbers of a camera's motion (SplatOptions.motion)


@dataclass(frozen=True)
class View:
    """Pose and lens in single precision."""

    view: np.ndarray  # [3,4] float32 camera from world
    position: np.ndarray  # [3]
    lens: np.ndarray  # [6] fx, fy, limits of x/z and y/z, cx, cy
    size: np.ndarray  # [2] int64 width, height

    @classmethod
    def of(cls, camera: Camera) -> View:
        (fx, fy), (cx, cy) = camera.focal, camera.centre
        limits = JACOBIAN_LIMIT * 0.5 * camera.width / fx, JACOBIAN_LIMIT * 0.5 * camera.height / fy
        pose = np.ascontiguousarray(camera.camera_from_world[:3], np.float32)
        lens = np.array([fx, fy, *limits, cx, cy], np.float32)
        return cls(pose, camera.position.astype(np.float32), lens, np.array([camera.width, camera.height]))
