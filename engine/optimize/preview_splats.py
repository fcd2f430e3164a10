"""Splats as previews show them: as trained, or what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.errors import Cancelled, DeviceError, DeviceLost
from engine.optimize.displays import Display
from engine.optimize.preview_colors import depth_colors, scaled_colors
from engine.optimize.preview_image import PreviewImage
from engine.optimize.splat_renderer import SplatRenderer
from engine.scene import Camera
from engine.scene.conventions import linear_to_srgb, srgb_to_linear
from engine.scene.gaussians import CONSTANT
from engine.splats.channels import camera_depths
from engine.splats.contract import SplatImage, SplatOptions, Splatter
from engine.splats.numba_outlines import outlined
from engine.splats.parameters import SplatTensors

if TYPE_CHECKING:
    from engine.optimize.snapshot import SceneSnapshot

SOLID = 0.5  # least alpha of a pixel that has a depth
SPAN = (1, 95)  # percentiles of the depths of what is in view that the display `depth` spans


class SplatPreview:
    """Draws the splats of one snapshot."""

    def __init__(self, snapshot: SceneSnapshot) -> None:
        self.splats, self.look, self._scores = snapshot.gaussians, snapshot.splat_look, snapshot.splat_scores
        self._renderer = SplatRenderer(self.splats, self.look.background)
        self._splatter = self._renderer.splatter

    @property
    def box(self) -> np.ndarray:
        """[2,3] where most splats are."""
        return self.splats.most_box

    def depth_range(self, camera: Camera) -> tuple[float, float]:
        """(near, far) between which most of the splats in view lie."""
        pixels, depth = camera.project(self.splats.means)
        inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1)
        if not inside.any():
            return 0.0, 1.0
        near, far = np.percentile(depth[inside], SPAN)
        return float(near), float(max(far, near + 1e-6))

    def draw_with(self, splatter: Splatter) -> None:
        """Have pictures drawn by another splatter, as far as it can; numbers and outlines stay on the processor."""
        self._splatter = splatter

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W]), opaque where there is a background."""
        return self._renderer.render(camera)

    @torch.no_grad()
    def image(
        self,
        camera: Camera,
        display: Display,  # one of SPLAT_DISPLAYS
        exposure: float = 0.0,  # photographic stops, of colours
        *,
        draft: bool = False,  # without depths of the pixels
        cancelled: Callable[[], bool] = lambda: False,
    ) -> PreviewImage:
        """What `camera` sees; raises Cancelled when `cancelled` says so before it is begun."""
        if cancelled():
            raise Cancelled("a newer view is asked for")
        span = self.depth_range(camera) if display == "depth" else None
        drawn = self._drawn(camera, display, with_depth=not draft or display == "depth")
        alpha = drawn.alpha.numpy()
        depth = np.full(camera.size, np.inf, np.float32)
        if drawn.extra is not None:
            solid = alpha >= SOLID
            depth[solid] = drawn.extra[..., 0].numpy()[solid] / alpha[solid]
        image = self._image(camera, display, drawn, alpha, depth, span)
        if exposure and display in ("shaded", "base_color"):
            image[..., :3] = _exposed(image, exposure)
        rgba = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
        return PreviewImage(rgba, depth, np.zeros(camera.size, np.int32), None, span)

    def _drawn(self, camera: Camera, display: Display, with_depth: bool) -> SplatImage:
        splats = self._scored if display == "density" else self._renderer.tensors
        background = self._renderer.behind(camera) if display in ("shaded", "base_color") else None
        options = SplatOptions(
            background=background,
            degree=None if display == "shaded" else 0,
            antialiased=self.splats.antialiased,
            depth=display == "normal",
            extra=camera_depths(splats.means, camera)[:, None] if with_depth else None,
        )
        try:
            return self._splatter.render(splats, camera, options)
        except DeviceLost:
            raise
        except DeviceError:  # too much for the device
            self._splatter = self._renderer.splatter
            return self._splatter.render(splats, camera, options)

    def _image(
        self, camera: Camera, display: Display, drawn: SplatImage, alpha: np.ndarray, depth: np.ndarray, span
    ) -> np.ndarray:
        """[H,W,4] sRGB-encoded, premultiplied."""
        image = np.zeros((*camera.size, 4), np.float32)
        if display == "outlines":
            return outlined(self.splats, camera)
        if display == "opacity":
            image[..., :3], image[..., 3] = alpha[..., None], 1
        elif display == "depth":
            solid = np.isfinite(depth)
            image[solid, :3], image[solid, 3] = depth_colors(depth[solid], span), 1
        elif display == "normal":
            normal = drawn.normal.numpy()
            length = np.linalg.norm(normal, axis=-1, keepdims=True)
            image[..., :3] = (normal * (0.5 / np.maximum(length, 1e-12)) + 0.5) * alpha[..., None]
            image[..., 3] = alpha
        else:
            free = display == "density" or self._renderer.background is None
            image[..., :3], image[..., 3] = np.clip(drawn.color.numpy(), 0, 1), alpha if free else 1
        return image

    @cached_property
    def _scored(self) -> SplatTensors:
        """The splats in the colours of their scores, from violet to yellow."""
        encoded = torch.from_numpy((scaled_colors(self.scores) - 0.5) / np.float32(CONSTANT))
        return replace(self._renderer.tensors, harmonics=encoded[:, None].contiguous())

    @cached_property
    def scores(self) -> np.ndarray:
        """[N] in [0,1] how much a splat asks to grow; where density control does not say, its size over its opacity."""
        if self._scores is not None:
            return np.sqrt(np.clip(self._scores / max(float(np.percentile(self._scores, 98)), 1e-12), 0, 1))
        axes = 2 if self.splats.kind == "surface" else 3
        values = self.splats.log_scales[:, :axes].max(1) - np.log(np.maximum(self.splats.opacities, 1e-6))
        low, high = np.percentile(values, (2, 98))
        return np.clip((values - low) / max(high - low, 1e-6), 0, 1)


def _exposed(image: np.ndarray, stops: float) -> np.ndarray:
    """[H,W,3] the colours of a premultiplied encoded image [H,W,4], brightened in linear light."""
    straight = np.clip(image[..., :3] / np.maximum(image[..., 3:], 1e-6), 0, 1)
    return linear_to_srgb(np.clip(srgb_to_linear(straight) * 2.0**stops, 0, 1)) * image[..., 3:]
