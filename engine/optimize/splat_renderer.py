"""Draws a set of splats for metrics, previews and pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.optimize.splat_backdrop import backdrop_image
from engine.scene import Backdrop, Camera, Gaussians
from engine.scene.conventions import srgb_to_linear
from engine.splats import splatter
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors

if TYPE_CHECKING:
    from engine.optimize.splat_gradient import PictureShading


class SplatRenderer:
    """Splats as the metrics ask for images: premultiplied linear colour and alpha, or opaque over a background."""

    def __init__(
        self,
        splats: Gaussians,
        background: tuple[float, float, float] | Backdrop | None = None,  # encoded; None: alpha stays
        name: str = "numba",
        shading: PictureShading | None = None,  # what the splats' picture is seen through
    ) -> None:
        self.splats = splats
        self.tensors = SplatTensors.of(splats)
        self.background = background
        self._behind = None if background is None else torch.from_numpy(_values(background))
        self.splatter = splatter(name)
        self.shading = shading

    @torch.no_grad()
    def behind(self, camera: Camera) -> Tensor | None:
        """What is behind all splats: [3] or [H,W,3] encoded, None where they stand free."""
        if isinstance(self.background, Backdrop):
            return backdrop_image(self._behind, self.background.world_from_environment, camera)
        return self._behind

    @torch.no_grad()
    def image(self, camera: Camera, depth: bool = False) -> SplatImage:
        """What `camera` sees, sRGB-encoded, through the shading where there is one; raises what that raises."""
        behind = self.behind(camera)
        if self.shading is None:
            return self._splatted(camera, behind, depth)
        drawn = self._splatted(camera, None, True)
        color = self.shading.color(drawn, camera)
        if behind is not None:
            color = color + (1 - drawn.alpha)[..., None] * behind
        return replace(drawn, color=color)

    def _splatted(self, camera: Camera, behind: Tensor | None, depth: bool) -> SplatImage:
        options = SplatOptions(background=behind, antialiased=self.splats.antialiased, depth=depth)
        return self.splatter.render(self.tensors, camera, options)

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W]); opaque where there is a background."""
        image = self.image(camera)
        color, alpha = image.color.numpy(), image.alpha.numpy()
        if self.background is not None:
            return srgb_to_linear(np.clip(color, 0, 1)).astype(np.float32), np.ones_like(alpha)
        straight = color / np.maximum(alpha, 1e-6)[..., None]
        return (srgb_to_linear(np.clip(straight, 0, 1)) * alpha[..., None]).astype(np.float32), alpha


def _values(background: tuple[float, float, float] | Backdrop) -> np.ndarray:
    return np.array(background.colors if isinstance(background, Backdrop) else background, np.float32)
