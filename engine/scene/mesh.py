"""Triangle meshes and their glTF metallic-roughness materials, as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Mesh:
    """Counter-clockwise triangles; texture coordinates have an index of their own, so seams do not split vertices."""

    vertices: np.ndarray  # [V,3] float32, capture units
    triangles: np.ndarray  # [F,3] int32
    uvs: np.ndarray | None = None  # [T,2] float32 in [0,1], origin top-left
    uv_triangles: np.ndarray | None = None  # [F,3] int32 into uvs

    @cached_property
    def box(self) -> np.ndarray:
        """[2,3] minimum and maximum corner, not to be written to."""
        box = np.stack([self.vertices.min(0), self.vertices.max(0)])
        box.flags.writeable = False
        return box

    @property
    def diagonal(self) -> float:
        """Length of the bounding box's diagonal, capture units."""
        return float(np.linalg.norm(self.box[1] - self.box[0]))

    def face_normals(self) -> np.ndarray:
        """[F,3] normals scaled by twice the triangle's area."""
        a, b, c = (self.vertices[self.triangles[:, i]] for i in range(3))
        return np.cross(b - a, c - a)

    def vertex_normals(self) -> np.ndarray:
        """[V,3] float32 unit normals, area-weighted over the triangles at each vertex; +Z where there are none."""
        face = self.face_normals()
        normals = np.zeros((len(self.vertices), 3))
        for corner in range(3):
            for axis in range(3):
                normals[:, axis] += np.bincount(self.triangles[:, corner], face[:, axis], len(normals))
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.where(length > 1e-20, normals / np.maximum(length, 1e-20), [0.0, 0.0, 1.0]).astype(np.float32)


def _filled(value: tuple[float, ...]):
    return field(default_factory=lambda: np.full((1, 1, len(value)), value, np.float32))


@dataclass(frozen=True)
class Material:
    """glTF metallic-roughness textures, linear float32, row 0 at the top (v = 0)."""

    base_color: np.ndarray = _filled((0.5, 0.5, 0.5))  # [H,W,3] in [0,1], linear
    occlusion_roughness_metallic: np.ndarray = _filled((1.0, 0.5, 0.0))  # [H,W,3] in [0,1]
    normal: np.ndarray | None = None  # [H,W,3] unit, tangent space, MikkTSpace, +Y up; None: the mesh's own
