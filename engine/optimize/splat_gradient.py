"""Stochastic gradients of splats through what is made of their picture, which nobody has to differentiate.

The credit rule for splats is registered here: the rooms of the splats and of the rasterizer do not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import RecipeError
from engine.raster.stochastic.credit import register
from engine.scene import Camera
from engine.scene.conventions import linear_to_srgb, srgb_to_linear
from engine.shading.blackbox import Shading, needs_adapter, open_shading
from engine.shading.points import SurfacePoints
from engine.splats.contract import SplatImage
from engine.splats.stochastic_credit import SplatCredit

register("splats")(SplatCredit)

COVERED = 1 / 255  # least alpha of a pixel that is shaded
ROUGHNESS, METALLIC = 0.5, 0.0  # of all splats


@dataclass(frozen=True)
class PictureShading:
    """A black box between the splats' picture and the photo: each covered pixel is a point of a surface.

    Its base colour is the splats' colour, its normal and depth what they blend to. A pixel's result is a function of
    the splats that it saw and of nothing else, which credit needs.
    """

    shading: Shading

    def color(self, drawn: SplatImage, camera: Camera) -> Tensor:
        """[H,W,3] float32 sRGB-encoded, times alpha, of splats drawn over black with `depth`; not finite is black."""
        alpha = drawn.alpha.detach().numpy()
        rows, columns = np.nonzero(alpha > COVERED)
        shaded = np.zeros((*alpha.shape, 3), np.float32)
        if len(rows):
            points = self._points(drawn, camera, rows, columns)
            radiance = np.asarray(self.shading.shade(points), np.float32)
            radiance = np.where(np.isfinite(radiance), radiance, 0).clip(0, 1)
            shaded[rows, columns] = linear_to_srgb(radiance) * alpha[rows, columns, None]
        return torch.from_numpy(shaded)

    def _points(self, drawn: SplatImage, camera: Camera, rows: np.ndarray, columns: np.ndarray) -> SurfacePoints:
        inside = lambda image: image.detach().numpy()[rows, columns]  # noqa: E731
        alpha = inside(drawn.alpha)[:, None]
        encoded = (inside(drawn.color) / alpha).clip(0, 1)
        pixel = np.stack([columns, rows], 1).astype(np.float32) + 0.5
        away = ((pixel - camera.centre) / camera.focal).astype(np.float64)
        rays = np.concatenate([away, np.ones((len(away), 1))], 1) @ camera.world_from_camera[:3, :3].T
        position = camera.position + rays * (inside(drawn.depth)[:, None] / alpha)
        return SurfacePoints(
            _unit(inside(drawn.normal)),
            _unit(-rays),
            srgb_to_linear(encoded).astype(np.float32),
            np.full(len(rows), ROUGHNESS, np.float32),
            np.full(len(rows), METALLIC, np.float32),
            position=position.astype(np.float32),
            pixel=pixel,
        )


def shading_name(recipe: Any) -> str | None:
    """The name or file of the shading that a recipe's splats are trained through; None where there is none.

    Only the stochastic stage `splats` has one, and pbr is none: the splats' colours are what it results in.
    """
    if "splats" not in recipe.stages or recipe.optimize.gradient != "stochastic":
        return None
    name = recipe.shading.file or recipe.shading.name
    return None if name == "pbr" else name


def picture_shading(recipe: Any) -> PictureShading | None:
    """What stands between a recipe's splats and the photos; None where nothing does.

    Raises RecipeError for a shading that reads the light, DeviceError where it needs an adapter that is not there, and
    what opening and compiling it raise.
    """
    if shading_name(recipe) is None:
        return None
    shading = open_shading(recipe.shading.name, recipe.shading.file)
    if shading.reads_light:
        raise RecipeError(f"stage splats has no environment, and the shading {shading.name} reads one; take another")
    needs_adapter(shading)
    shading.check()
    return PictureShading(shading)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
