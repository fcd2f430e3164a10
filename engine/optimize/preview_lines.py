"""Straight lines that belong to a view of the scene: a grid, cameras; NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SceneLines:
    """Straight lines in the world, drawn with the picture."""

    begin: np.ndarray  # [N,3]
    end: np.ndarray  # [N,3]
    color: np.ndarray  # [N,4] sRGB-encoded and opacity, in [0,1], not premultiplied
    width: np.ndarray | float = 1.0  # [N] pixels
    hidden: np.ndarray | float = 0.25  # [N] share of the opacity that is left behind the surface

    def packed(self) -> np.ndarray:
        """[N,12] float32 as lines.wgsl reads them."""
        rows = np.empty((len(self.begin), 12), np.float32)
        rows[:, :3], rows[:, 3], rows[:, 4:7], rows[:, 7] = self.begin, self.width, self.end, self.hidden
        rows[:, 8:] = self.color
        return rows
