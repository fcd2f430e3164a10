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


def known_surface(mesh: Mesh, field: np.ndarray, box: np.ndarray, limit: float) -> Mesh:
    """The part of a fused field's surface that some map has seen.

    Where nothing is known, `fused_distance` holds the truncation, `limit` of the box's longest side, negative; faces in
    a cell with such a corner only part what is free from what is unknown.
    """
    box = np.asarray(box, np.float64)
    cells = np.array(field.shape) - 1
    unknown = field <= -np.float32(limit * float((box[1] - box[0]).max())) * np.float32(1 - 1e-5)
    touched = np.zeros(tuple(cells), bool)
    for corner in np.ndindex(2, 2, 2):
        touched |= unknown[tuple(slice(c, c + n) for c, n in zip(corner, cells, strict=True))]
    place = (np.asarray(mesh.vertices, np.float64) - box[0]) / (box[1] - box[0]) * cells
    x, y, z = np.clip(np.floor(place), 0, cells - 1).astype(np.int64).T
    kept = ~touched[x, y, z][mesh.triangles].any(1)
    used, triangles = np.unique(mesh.triangles[kept], return_inverse=True)
    return Mesh(mesh.vertices[used], triangles.reshape(-1, 3).astype(np.int32))
