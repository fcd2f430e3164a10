"""The camera's pose as six parameters that every pixel is credited to: a rigid motion in the camera's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.raster.stochastic.credit import register


def rigid_motion(twist: np.ndarray) -> np.ndarray:
    """[4,4] the exponential of a twist [6] in se(3): rotation vector in radians, then translation.

    Source: Rodrigues' formula and its integral.
    """
    rotation, translation = np.asarray(twist, float)[:3], np.asarray(twist, float)[3:]
    x, y, z = rotation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = float(np.linalg.norm(rotation))
    if angle < 1e-6:
        first, second, third = 1.0, 0.5, 1 / 6
    else:
        first, second = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
        third = (angle - np.sin(angle)) / angle**3
    motion = np.eye(4)
    motion[:3, :3] += first * cross + second * cross @ cross
    motion[:3, 3] = (np.eye(3) + second * cross + third * cross @ cross) @ translation
    return motion


def moved_pose(camera_from_world: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """[4,4] `camera_from_world` [4,4] followed by the rigid motion of `twist` [6] in the camera's frame."""
    return rigid_motion(twist) @ camera_from_world


def pose_eps(eps: float, focal: float, depth: float) -> np.ndarray:
    """[6] perturbation of rotation (radians) and translation (capture units) that moves points at `depth` by about
    `eps` pixels of a camera whose focal length is `focal` pixels."""
    return np.repeat([eps / focal, eps * depth / focal], 3)


@register("pose")
@dataclass(frozen=True)
class PoseCredit:
    """Credits every pixel to the one pose."""

    size: tuple[int, int]  # (height, width) of the image
    rows: int = 1

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """See `credit.CreditRule.sums`."""
        return fixed.sum(dtype=np.int32).reshape(1)

    def pixels(self, row: int) -> np.ndarray:
        """See `credit.CreditRule.pixels`."""
        return np.ones(self.size, bool)

    def support(self) -> Tensor:
        """See `credit.CreditRule.support`."""
        pixel = torch.arange(self.size[0] * self.size[1])
        return torch.stack([pixel, torch.zeros_like(pixel)], 1)
