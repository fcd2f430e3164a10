"""Looking up equirectangular maps by direction, in plain torch: bilinear, wrapping around and over the poles."""

from __future__ import annotations

import torch
from torch import Tensor


def uv_from_direction(direction: Tensor) -> Tensor:
    """Directions [...,3] of any length, in the map's frame, to (u, v) [...,2] in [0,1], as the scene's Environment.

    At the poles, where u is not defined, its gradient is 0 instead of infinite.
    """
    x, y, z = direction.unbind(-1)
    around = x * x + z * z
    pole = around < 1e-12
    x, z = torch.where(pole, 0.0, x), torch.where(pole, -1.0, z)
    ring = torch.where(pole, 1e-6, around).sqrt()
    u = torch.atan2(x, -z) / (2 * torch.pi) + 0.5
    return torch.stack([u, torch.atan2(ring, y) / torch.pi], -1)


def pad(maps: Tensor) -> Tensor:
    """Maps [...,H,W,3] bordered by a texel from across the seam and the poles, and a zero channel: [...,H+2,W+2,4]."""
    width = maps.shape[-2]
    top = maps[..., :1, :, :].roll(width // 2, -2)
    bottom = maps[..., -1:, :, :].roll(width // 2, -2)
    maps = torch.cat([top, maps, bottom], -3)
    maps = torch.cat([maps[..., -1:, :], maps, maps[..., :1, :]], -2)
    return torch.nn.functional.pad(maps, (0, 1))


def sample(maps: Tensor, layer: Tensor | None, direction: Tensor) -> Tensor:
    """Radiance [P,3] of `maps` [L,H,W,3] ([H,W,3] where `layer` is None) from `direction` [P,3], bilinear.

    `layer` [P] picks a map each. Gradients to maps and direction; W must be even for the poles to join.
    """
    height, width = maps.shape[-3:-1]
    flat = maps.reshape(-1, 3)
    uv = uv_from_direction(direction)
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = x.detach().floor().long(), y.detach().floor().long()
    x_part, y_part = (x - left)[:, None], (y - top)[:, None]
    base = 0 if layer is None else layer * (height * width)

    def texel(row: Tensor, column: Tensor) -> Tensor:
        beyond = (row < 0) | (row >= height)  # across a pole, on the other side of the globe
        column = (column + beyond * (width // 2)) % width
        return flat[base + row.clamp(0, height - 1) * width + column]

    upper = texel(top, left) * (1 - x_part) + texel(top, left + 1) * x_part
    lower = texel(top + 1, left) * (1 - x_part) + texel(top + 1, left + 1) * x_part
    return upper * (1 - y_part) + lower * y_part
