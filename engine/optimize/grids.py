"""Scalar fields on corner grids, shared by the stages that hand distance fields to one another."""

from __future__ import annotations

import numpy as np


def resampled(field: np.ndarray, resolution: int) -> np.ndarray:
    """A corner grid [R+1,R+1,R+1] sampled trilinearly at `resolution` cells along the side."""
    if field.shape[0] == resolution + 1:
        return field
    from scipy.ndimage import map_coordinates

    line = np.linspace(0, field.shape[0] - 1, resolution + 1)
    return map_coordinates(field, np.meshgrid(line, line, line, indexing="ij"), order=1).astype(np.float32)
