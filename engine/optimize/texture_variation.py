"""How much a material texture varies from texel to texel, with its gradient, in one pass; and its plain torch twin."""

from __future__ import annotations

import numpy as np
import torch
from numba import prange
from torch import Tensor

from engine.kernels.settings import kernel, parallel_kernel
from engine.optimize.textures import OCCLUSION, ROUGHNESS

FIRST, LAST = ROUGHNESS, OCCLUSION - 1  # roughness, metallic and slopes; base colour is free


def texture_variation_reference(texture: Tensor) -> Tensor:
    """`texture_variation` for any device and float type."""
    rest = texture[..., FIRST : LAST + 1]
    return (rest[1:] - rest[:-1]).abs().mean() + (rest[:, 1:] - rest[:, :-1]).abs().mean()


@kernel
def _sign(x):
    return np.float32(x > 0) - np.float32(x < 0)


@parallel_kernel
def _vary(texture, scales, sums, gradient):
    """sums [H] of the scaled differences to the next texel below and to the right; gradient [H,W,8] of their total."""
    height, width, channels = texture.shape
    below, right = scales
    for y_ in prange(height):
        y = np.int64(y_)
        total = 0.0
        for x in range(width):
            for c in range(channels):
                gradient[y, x, c] = np.float32(0)
            for c in range(FIRST, LAST + 1):
                here, slope = texture[y, x, c], np.float32(0)
                if y > 0:
                    slope += below * _sign(here - texture[y - 1, x, c])
                if x > 0:
                    slope += right * _sign(here - texture[y, x - 1, c])
                if y + 1 < height:
                    step = texture[y + 1, x, c] - here
                    slope -= below * _sign(step)
                    total += np.float64(below * abs(step))
                if x + 1 < width:
                    step = texture[y, x + 1, c] - here
                    slope -= right * _sign(step)
                    total += np.float64(right * abs(step))
                gradient[y, x, c] = slope
        sums[y] = total


class _Variation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, texture):
        height, width = texture.shape[:2]
        count = LAST + 1 - FIRST
        scales = np.array([1 / ((height - 1) * width * count), 1 / (height * (width - 1) * count)], np.float32)
        sums, ctx.gradient = np.empty(height), torch.empty(texture.shape)
        _vary(texture.detach().contiguous().numpy(), (scales[0], scales[1]), sums, ctx.gradient.numpy())
        return torch.tensor(sums.sum(), dtype=torch.float32)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, to_value):
        return ctx.gradient.mul(to_value)


def texture_variation(texture: Tensor) -> Tensor:
    """Mean absolute difference between neighbouring texels of roughness, metallic and slopes of [H,W,8], both sides at
    least 2; float32 on the CPU takes the kernel."""
    fused = texture.device.type == "cpu" and texture.dtype == torch.float32
    return _Variation.apply(texture) if fused else texture_variation_reference(texture)
