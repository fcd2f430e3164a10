"""Front-to-back blending of every splat in every pixel, in plain torch (Kerbl et al. 2023, eq. 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.splats.constants import ALPHA_MAX, ALPHA_MIN, STOP

PAIRS = 1 << 21  # of a splat and a pixel that are held at once

# pixel centres [P,2] to (alpha [V,P] before clamp and threshold, camera depth [V,P] or [V,1]), nearest splat first
Footprint = Callable[[Tensor], tuple[Tensor, Tensor]]


class Blended(NamedTuple):
    """Flat images; the last three are None unless asked for."""

    values: Tensor  # [P,F]
    transmittance: Tensor  # [P]
    depth: Tensor | None  # [P] sum of weight times depth
    distortion: Tensor | None  # [P] sum over pairs of w_i w_j (z_i - z_j)^2, each pair once
    median_depth: Tensor | None  # [P] no gradient


def _blend(footprint: Footprint, pixels: Tensor, values: Tensor, depths: bool) -> Blended:
    raw, depth = footprint(pixels)
    alpha = torch.where(raw >= ALPHA_MAX, torch.full_like(raw, ALPHA_MAX), raw)
    alpha = torch.where(raw >= ALPHA_MIN, alpha, torch.zeros_like(raw))
    with torch.no_grad():
        goes_on = (1 - alpha).cumprod(0) >= STOP
    alpha = torch.where(goes_on, alpha, torch.zeros_like(alpha))
    after = torch.cat([alpha.new_ones(1, len(pixels)), (1 - alpha).cumprod(0)])
    weight = alpha * after[:-1]
    if not depths:
        return Blended(weight.T @ values, after[-1], None, None, None)
    z = torch.where(alpha > 0, depth, torch.zeros_like(alpha))  # a depth that is not blended may be infinite
    first, second = weight * z, weight * z * z
    in_front = [total.cumsum(0) - total for total in (weight, first, second)]
    distortion = (second * in_front[0] - 2 * first * in_front[1] + weight * in_front[2]).sum(0)
    with torch.no_grad():
        half = (after[:-1] > 0.5) & (after[1:] <= 0.5)
        median = torch.where(half, z, torch.zeros_like(z)).sum(0)
    return Blended(weight.T @ values, after[-1], first.sum(0), distortion, median)


def blended(footprint: Footprint, values: Tensor, size: tuple[int, int], depths: bool) -> Blended:
    """The images [H,W,...] of splats with `values` [V,F], sorted nearest first; `depths`: the last three fields too.

    Parts of the image are computed one by one, and once more for the gradient, so that memory does not grow with it.
    """
    y, x = torch.meshgrid(*(torch.arange(n, dtype=values.dtype, device=values.device) for n in size), indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2) + 0.5
    parts = [
        checkpoint(_blend, footprint, part, values, depths, use_reentrant=False)
        for part in pixels.split(max(PAIRS // max(len(values), 1), 1))
    ]
    images = [None if images[0] is None else torch.cat(images) for images in zip(*parts, strict=True)]
    return Blended(*(None if image is None else image.reshape(*size, *image.shape[1:]) for image in images))
