"""Distance fields on corner grids and the surfaces in them, shared by the stages that hand them to one another."""

from __future__ import annotations

import numpy as np
import torch

from engine.geometry.flexicubes import FlexiCubes
from engine.scene import Mesh


def resampled(field: np.ndarray, resolution: int) -> np.ndarray:
    """A corner grid [R+1,R+1,R+1] sampled trilinearly at `resolution` cells along the side."""
    if field.shape[0] == resolution + 1:
        return field
    from scipy.ndimage import map_coordinates

    line = np.linspace(0, field.shape[0] - 1, resolution + 1)
    return map_coordinates(field, np.meshgrid(line, line, line, indexing="ij"), order=1).astype(np.float32)


@torch.no_grad()
def surface_of(field: np.ndarray, box: np.ndarray) -> Mesh:
    """The iso-surface of a signed distance field [R+1,R+1,R+1] in `box` [2,3]; GeometryError where it is empty."""
    surface = FlexiCubes.from_field(field, box).extract("numba", split="two")
    return Mesh(surface.vertices.numpy().copy(), surface.triangles.numpy().astype(np.int32))
