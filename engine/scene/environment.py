"""Light from infinitely far away: an equirectangular map of linear radiance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

LightFrame = Literal["world", "camera"]


@dataclass(frozen=True)
class Environment:
    """Row 0 looks to +Y of the environment's own frame, the centre column to -Z, and u grows toward +X."""

    radiance: np.ndarray  # [H,W,3] float32, linear, >= 0
    world_from_environment: np.ndarray = field(default_factory=lambda: np.eye(3))  # [3,3] rotation
    frame: LightFrame = "world"  # `camera`: it turns with the camera; the rotation is then camera_from_environment


def direction_of_texel(height: int, width: int) -> np.ndarray:
    """[H,W,3] unit directions, in the environment's frame, through texel centres of an equirectangular map."""
    theta = (np.arange(height) + 0.5) / height * np.pi
    phi = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    sin_theta = np.sin(theta)[:, None]
    return np.stack(
        [
            sin_theta * np.sin(phi),
            np.broadcast_to(np.cos(theta)[:, None], (height, width)),
            -sin_theta * np.cos(phi),
        ],
        -1,
    )


def texel_solid_angle(height: int, width: int) -> np.ndarray:
    """[H,W] steradians of each texel; sums to 4 pi."""
    edge = np.cos(np.arange(height + 1) / height * np.pi)
    return np.broadcast_to(((edge[:-1] - edge[1:]) * 2 * np.pi / width)[:, None], (height, width))


def uv_of_direction(direction: np.ndarray) -> np.ndarray:
    """Unit directions [...,3] in the environment's frame to (u, v) [...,2] in [0,1), v = 0 at the top."""
    x, y, z = np.moveaxis(direction, -1, 0)
    u = np.arctan2(x, -z) / (2 * np.pi) + 0.5
    v = np.arccos(np.clip(y, -1, 1)) / np.pi
    return np.stack([u, v], -1)
