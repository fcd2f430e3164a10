"""Flat discs on the image by ray-disc intersection, in plain torch (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.splats.channels import rotation_matrices
from engine.splats.constants import ALPHA_MIN, NEAR
from engine.splats.parameters import SplatTensors
from engine.splats.reference_blend import Footprint
from engine.splats.reference_project import View, extent, reach_of


def discs(splats: SplatTensors, points: Tensor, centres: Tensor, view: View) -> tuple[Footprint, Tensor]:
    """How discs cover pixels, the depth at which rays meet them, and their radii.

    `points` [V,3] are the means in camera axes, `centres` [V,2] those on the image; moving a centre moves the disc's
    whole image. Where the screen-space filter is larger (eq. 11), and where a ray meets the plane nearer than NEAR,
    that filter counts, at the mean's depth.
    """
    axes = view.rotation @ rotation_matrices(splats.rotations)[:, :, :2] * splats.log_scales[:, None, :2].exp()
    depth, lean = points[:, 2], axes[:, 2]  # [V], [V,2]
    # the axes' motion across the image per unit of depth, for a ray through the mean
    across = axes[:, :2] - (points[:, :2] / points[:, 2:])[:, :, None] * lean[:, None]
    opacity = torch.sigmoid(splats.logits)

    def footprint(pixels: Tensor) -> tuple[Tensor, Tensor]:
        offset = pixels[None] - centres[:, None]  # [V,P,2] pixels
        ray = offset / view.focal
        # u, v with (across - ray lean)(u, v) = ray depth: where the ray meets the plane (eqs. 8 to 10)
        left = across[:, None, 0] - ray[:, :, :1] * lean[:, None]  # [V,P,2]
        right = across[:, None, 1] - ray[:, :, 1:] * lean[:, None]
        determinant = left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0]
        u = (ray[..., 0] * right[..., 1] - left[..., 1] * ray[..., 1]) * depth[:, None]
        v = (left[..., 0] * ray[..., 1] - ray[..., 0] * right[..., 0]) * depth[:, None]
        filtered = 2 * (offset * offset).sum(2)
        with torch.no_grad():  # what is not chosen may be infinite and must not reach the gradient
            met = depth[:, None] + (lean[:, :1] * u + lean[:, 1:] * v) / determinant
            hit = (met > NEAR) & (u * u + v * v <= filtered * determinant * determinant)
        divisor = torch.where(hit, determinant, torch.ones_like(determinant))
        u, v = u / divisor, v / divisor
        q = torch.where(hit, u * u + v * v, filtered)
        z = torch.where(hit, depth[:, None] + lean[:, :1] * u + lean[:, 1:] * v, depth[:, None])
        return opacity[:, None] * torch.exp(-q / 2), z

    with torch.no_grad():
        least, most = _bounds(across * view.focal[:, None], lean, depth, reach_of(opacity).clamp(min=0))
        whole = torch.isnan(least).any(1, keepdim=True)
        least = torch.where(whole, torch.zeros_like(least), centres + least)
        most = torch.where(whole, view.size.expand_as(most), centres + most)
        radii = extent(least, most, view.size) * (opacity > ALPHA_MIN)
    return footprint, radii


def _bounds(across: Tensor, lean: Tensor, depth: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Least and most offset [V,2] in pixels of what covers anything; NaN for discs that reach the camera's plane.

    The disc's rim u^2 + v^2 = reach spans the roots s of reach |across - s lean|^2 = (s depth)^2.
    """
    reach = reach[:, None]
    square = (depth * depth)[:, None] - reach * (lean * lean).sum(1, keepdim=True)
    middle = reach * (across * lean[:, None]).sum(2)
    root = torch.sqrt(middle * middle + square * reach * (across * across).sum(2))
    square = torch.where(square > 0, square, torch.full_like(square, torch.nan))
    filtered = torch.sqrt(reach / 2)
    return torch.minimum((-middle - root) / square, -filtered), torch.maximum((-middle + root) / square, filtered)
