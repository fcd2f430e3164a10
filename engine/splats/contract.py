"""What every splatter takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.parameters import SplatTensors


@dataclass(frozen=True)
class SplatOptions:
    """How a view is drawn; what is not asked for is not computed."""

    background: Tensor | None = None  # [3] or [H,W,3] encoded colour behind all splats; None is black
    degree: int | None = None  # of the harmonics that are used; None: all there are
    antialiased: bool = (
        False  # opacity makes up for the low-pass filter (Yu et al. 2024, arXiv 2311.16493); not for discs
    )
    rescaled: bool = (
        False  # kind exponential: scales times phi(shape) (arXiv 2402.10128, eq. 6) instead of the exact kernel
    )
    depth: bool = False  # also depth, normal and, of discs, distortion
    extra: Tensor | None = None  # [N,C] more channels to blend
    # [10] any values, not read; gets the gradient of colour and alpha (not of channels) to small changes of the camera:
    # a turn about its centre in radians and a way in capture units, both along world axes; fx, fy, cx, cy in pixels
    motion: Tensor | None = None


@dataclass(frozen=True)
class SplatImage:
    """One view; every float image has gradients to the parameters, unless it says that it has none."""

    color: Tensor  # [H,W,3] sRGB-encoded, over the background
    alpha: Tensor  # [H,W] 1 - transmittance
    radii: Tensor  # [N] int32 pixels, half the larger side of what a splat covers; 0 where it is not seen
    screen: Tensor  # [N,2] projected means, pixels; its `grad` is filled by `backward` where parameters have gradients
    depth: Tensor | None = None  # [H,W] sum of blending weight times camera depth; not divided by alpha
    normal: Tensor | None = None  # [H,W,3] sum of weight times the world normal (shortest axis) that faces the camera
    distortion: Tensor | None = (
        None  # [H,W] of discs: pairs' weights times squared depth difference (after arXiv 2403.17888)
    )
    median_depth: Tensor | None = (
        None  # [H,W] camera depth where transmittance falls to a half, 0 where it never does; no gradient
    )
    extra: Tensor | None = None  # [H,W,C]


PLAIN = SplatOptions()


class Splatter(Protocol):
    """An implementation: `reference`, `numba`, `webgpu` or `gsplat`."""

    name: str

    def render(self, splats: SplatTensors, camera: Camera, options: SplatOptions = PLAIN) -> SplatImage:
        """The splats as `camera` sees them: sorted by the depth of their means, blended front to back."""
        ...
