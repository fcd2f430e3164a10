"""What lies behind all splats, infinitely far away: an equirectangular map of sRGB-encoded colour."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Backdrop:
    """The directions of an Environment: row 0 looks to +Y of the map's own frame, the centre column to -Z, and u grows
    toward +X. A stage makes +Y the capture's up. Encoded, as splats are, where an Environment is linear."""

    colors: np.ndarray  # [H,W,3] float32 sRGB-encoded in [0,1]; W is even
    world_from_environment: np.ndarray = field(default_factory=lambda: np.eye(3))  # [3,3] rotation
