"""Mip-mapped texture look-up: the readable torch version, and the others by name."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.raster.texture_level import texture_level
from engine.raster.texture_numba import texture_numba
from engine.raster.texture_nvdiffrast import texture_nvdiffrast
from engine.raster.texture_pyramid import build_pyramid, level_sizes

__all__ = ["build_pyramid", "level_sizes", "texture_level", "texture_numba", "texture_nvdiffrast", "texture_reference"]


def texture_reference(pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
    """Trilinear look-up [P,C] of points uv [P,2] in [0,1] (origin top-left) at mip level [P] (None: level 0).

    Texel centres lie at (i + 0.5) / W, outside coordinates take the border's texel, levels are clamped to the
    pyramid. Gradients to the pyramid and to uv, none to the level. Any dtype and device.
    """
    channels = pyramid[0].shape[2]
    if level is None:
        pyramid, level = pyramid[:1], torch.zeros_like(uv[:, 0])
    packed = torch.cat([values.reshape(-1, channels) for values in pyramid])
    sizes = torch.tensor([values.shape[:2] for values in pyramid], device=uv.device)  # [L,2]
    starts = torch.cumsum(sizes.prod(1), 0) - sizes.prod(1)
    level = level.detach().clamp(0, len(pyramid) - 1)
    fine = level.floor()
    blend = (level - fine).to(packed.dtype)
    out = 0.0
    for index, weight in ((fine.long(), 1 - blend), ((fine.long() + 1).clamp(max=len(pyramid) - 1), blend)):
        height, width = sizes[index].unbind(1)
        position = uv * torch.stack([width, height], 1).to(uv.dtype) - 0.5
        first = position.detach().floor()
        fraction = position - first
        for dy in (0, 1):
            y = (first[:, 1].long() + dy).clamp(min=0).minimum(height - 1)
            along_y = fraction[:, 1] if dy else 1 - fraction[:, 1]
            for dx in (0, 1):
                x = (first[:, 0].long() + dx).clamp(min=0).minimum(width - 1)
                along_x = fraction[:, 0] if dx else 1 - fraction[:, 0]
                out = out + (weight * along_x * along_y)[:, None] * packed[starts[index] + y * width + x]
    return out
