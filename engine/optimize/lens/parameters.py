"""What the lens can be put on: a vertex along a direction, a texel of a material's map, a texel of the light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.errors import GeometryError
from engine.kernels.signs import BASE_COLOR, NORMAL_MAP, ROUGHNESS_METALLIC
from engine.optimize.lens.scene import LensScene

Direction = Literal["normal", "x", "y", "z"]
TextureMap = Literal["base_color", "roughness", "metallic", "normal"]
MAP_CHANNELS: dict[TextureMap, tuple[int, ...]] = {
    "base_color": (0, 1, 2),
    "roughness": (3,),
    "metallic": (4,),
    "normal": (5, 6),
}  # of the optimized texture
MAP_GROUP = {"base_color": BASE_COLOR, "roughness": ROUGHNESS_METALLIC, "metallic": ROUGHNESS_METALLIC}
GROUP_CHANNELS = {BASE_COLOR: slice(0, 3), ROUGHNESS_METALLIC: slice(3, 5), NORMAL_MAP: slice(5, 7)}


@dataclass(frozen=True)
class VertexParameter:
    """A vertex moved along its normal or an axis of the world; derivatives are per capture unit."""

    index: int
    direction: Direction = "normal"

    def vector(self, scene: LensScene) -> Tensor:
        """[3] unit. Raises GeometryError for a vertex that is not there."""
        _check(self.index, len(scene.vertices), "vertex")
        if self.direction == "normal":
            return scene.normals[self.index]
        return torch.eye(3)["xyz".index(self.direction)]

    def tangent(self, scene: LensScene) -> Tensor:
        """[V,3] what a unit of the parameter moves."""
        moved = torch.zeros_like(scene.vertices)
        moved[self.index] = self.vector(scene)
        return moved

    @property
    def unit(self) -> str:
        """Of which the derivative is per one."""
        return "capture unit"


@dataclass(frozen=True)
class TexelParameter:
    """One channel of a texel, or all channels of base colour alike; of the normal map the slopes x/z (0), y/z (1)."""

    map: TextureMap
    x: int
    y: int
    channel: int | None = None  # within the map; None: all of base colour, the first of the others

    @property
    def group(self) -> int:
        """The group of signs (engine/kernels/signs.py) that is perturbed together."""
        return MAP_GROUP.get(self.map, NORMAL_MAP)

    def weights(self, scene: LensScene) -> Tensor:
        """[8] what a unit of the parameter adds to the texel's channels. Raises GeometryError for one not there."""
        if scene.texture is None:
            raise GeometryError("this scene has no textures yet; choose a vertex or a texel of the light")
        _check(self.y, scene.texture.shape[0], "texture row")
        _check(self.x, scene.texture.shape[1], "texture column")
        weights, there = torch.zeros(8), MAP_CHANNELS[self.map]
        if self.channel is None and self.map == "base_color":
            weights[list(there)] = 1.0
            return weights
        channel = self.channel or 0
        _check(channel, len(there), f"channel of {self.map}")
        weights[there[channel]] = 1.0
        return weights

    @property
    def unit(self) -> str:
        """Of which the derivative is per one."""
        return "unit of the texel"


@dataclass(frozen=True)
class LightParameter:
    """The logarithm of one texel of the light, as the stages optimize it; all colours alike or one."""

    x: int
    y: int
    channel: int | None = None

    def tangent(self, scene: LensScene) -> Tensor:
        """[h,w,3] what a unit of the parameter adds. Raises GeometryError for a texel that is not there."""
        _check(self.y, scene.log_radiance.shape[0], "light row")
        _check(self.x, scene.log_radiance.shape[1], "light column")
        moved = torch.zeros_like(scene.log_radiance)
        moved[self.y, self.x, slice(None) if self.channel is None else self.channel] = 1.0
        return moved

    @property
    def unit(self) -> str:
        """Of which the derivative is per one."""
        return "e-fold of the texel"


Parameter = VertexParameter | TexelParameter | LightParameter


def _check(index: int, count: int, name: str) -> None:
    if not 0 <= index < count:
        raise GeometryError(f"there is no {name} {index}: choose one from 0 to {count - 1}")


def one_texel(scene: LensScene, parameter: TexelParameter) -> Tensor:
    """[S,S,1] one at the texel, zero elsewhere."""
    out = torch.zeros(*scene.texture.shape[:2], 1)
    out[parameter.y, parameter.x] = 1.0
    return out


def touched_triangles(scene: LensScene, vertex: int) -> np.ndarray:
    """Indices of the triangles that look different when a vertex moves: smooth normals bring in its neighbours'."""
    triangles = scene.triangles.numpy()
    ring = np.unique(triangles[(triangles == vertex).any(1)])
    return np.flatnonzero(np.isin(triangles, ring).any(1))
