"""What splats cover on the image, in plain torch: EWA projection (Kerbl et al. 2023, eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.channels import rotation_matrices
from engine.splats.constants import ALPHA_MIN, JACOBIAN_LIMIT, LOW_PASS
from engine.splats.parameters import SplatTensors
from engine.splats.reference_blend import Footprint


@dataclass(frozen=True)
class View:
    """A camera in the splats' floating type."""

    rotation: Tensor  # [3,3] camera from world
    position: Tensor  # [3]
    focal: Tensor  # [2] pixels
    centre: Tensor  # [2] pixels
    limits: Tensor  # [2] largest |x/z| and |y/z| the projection is linearized at
    size: Tensor  # [2] width, height

    @classmethod
    def of(cls, camera: Camera, like: Tensor) -> View:
        size = np.array([camera.width, camera.height], float)
        arrays = (
            camera.camera_from_world[:3, :3],
            np.array(camera.position),
            np.array(camera.focal, float),
            np.array(camera.centre, float),
            JACOBIAN_LIMIT * 0.5 * size / np.array(camera.focal),
            size,
        )
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)).to(like) for array in arrays))


def reach_of(opacity: Tensor) -> Tensor:
    """The squared distance in standard deviations at which a Gaussian's alpha falls to ALPHA_MIN."""
    return 2 * torch.log(opacity / ALPHA_MIN)


def extent(least: Tensor, most: Tensor, size: Tensor) -> Tensor:
    """[V] int32 radii of boxes `least`, `most` [V,2] in pixels; 0 where one lies outside the image."""
    inside = (torch.clamp(least, min=0) < torch.minimum(most, size)).all(1)
    half = torch.nan_to_num(((most - least) / 2).amax(1), nan=0.0).ceil().clamp(0, 1 << 30)
    return torch.where(inside, half, torch.zeros_like(half)).to(torch.int32)


def ellipses(
    splats: SplatTensors, points: Tensor, centres: Tensor, view: View, antialiased: bool
) -> tuple[Footprint, Tensor]:
    """How splats cover pixels and their radii, by EWA projection (arXiv 2308.04079, eq. 5).

    `points` [V,3] are the means in camera axes, `centres` [V,2] those on the image.
    """
    axes = view.rotation @ rotation_matrices(splats.rotations) * splats.log_scales.exp()[:, None, :]
    along = points[:, :2] / points[:, 2:]
    along = torch.minimum(torch.maximum(along, -view.limits), view.limits)
    plane = (axes[:, :2] - along[:, :, None] * axes[:, 2:]) * (view.focal / points[:, 2:])[:, :, None]
    covariance = plane @ plane.transpose(1, 2)
    xx, xy, yy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    before = xx * yy - xy * xy
    xx, yy = xx + LOW_PASS, yy + LOW_PASS
    after = xx * yy - xy * xy
    opacity = torch.sigmoid(splats.logits)
    if antialiased:
        flat = before <= 0
        opacity = opacity * torch.where(flat, 0.0, torch.sqrt(torch.where(flat, 1.0, before) / after))

    def footprint(pixels: Tensor) -> tuple[Tensor, Tensor]:
        dx, dy = (pixels[None, :, :] - centres[:, None, :]).unbind(2)
        q = (yy[:, None] * dx * dx - 2 * xy[:, None] * dx * dy + xx[:, None] * dy * dy) / after[:, None]
        if splats.shapes is not None:  # arXiv 2402.10128, eq. 5
            q = torch.clamp(q, min=1e-30) ** (splats.shapes[:, None] / 2)
        return opacity[:, None] * torch.exp(-q / 2), points[:, 2:]

    with torch.no_grad():
        reach = reach_of(opacity).clamp(min=0)
        if splats.shapes is not None:
            reach = reach ** (2 / splats.shapes)
        half = torch.sqrt(reach[:, None] * torch.stack([xx, yy], 1))
        radii = extent(centres - half, centres + half, view.size) * (opacity > ALPHA_MIN)
    return footprint, radii
