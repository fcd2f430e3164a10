"""What the stochastic loop starts from and compares with: arrays of the host's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import GeometryError
from engine.scene import Camera, Environment


@dataclass(frozen=True)
class LoopScene:
    """A mesh, and where they are wanted its textures and light."""

    vertices: np.ndarray  # [V,3] float32, capture units
    triangles: np.ndarray  # [F,3] int32
    uvs: np.ndarray | None = None  # [T,2] float32, origin top-left
    uv_triangles: np.ndarray | None = None  # [F,3] int32 into uvs
    texture: np.ndarray | None = None  # [H,W,8] float32, channels as engine/optimize/textures.py has them
    tangents: np.ndarray | None = None  # [N,4] float32, MikkTSpace; None: normal maps have no effect
    tangent_triangles: np.ndarray | None = None  # [F,3] int32 into tangents
    environment: Environment | None = None
    mips: bool = True  # whether textures are filtered over mip levels; else level 0 alone is looked up

    def __post_init__(self) -> None:
        if len(self.triangles) == 0 or len(self.vertices) == 0:
            raise GeometryError("the stochastic loop was given an empty mesh; start from one with triangles")
        if not np.isfinite(self.vertices).all():
            raise GeometryError("the stochastic loop was given a mesh with vertices that are not finite")
        if self.texture is not None and (self.uvs is None or self.uv_triangles is None):
            raise GeometryError("the stochastic loop was given a texture but no uvs; unwrap the mesh first")


@dataclass(frozen=True)
class LoopView:
    """A photo to compare with."""

    camera: Camera
    color: np.ndarray  # [H,W,3] float32 linear radiance, times alpha
    alpha: np.ndarray  # [H,W] float32 in [0,1], 1 = object
