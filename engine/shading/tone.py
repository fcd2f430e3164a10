"""Colour encodings, exposure and tone maps as differentiable torch functions."""

from __future__ import annotations

import torch
from torch import Tensor


def srgb_from_linear(linear: Tensor) -> Tensor:
    """sRGB encoding (IEC 61966-2-1) of linear values [...]; not clipped, a line below 0.

    The gradient is finite everywhere (12.92 at and below 0).
    """
    curve = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve)


def linear_from_srgb(encoded: Tensor) -> Tensor:
    """Linear values of sRGB-encoded ones [...] (IEC 61966-2-1); not clipped, gradient finite everywhere."""
    curve = ((encoded.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= 0.04045, encoded / 12.92, curve)


def log_tonemap(linear: Tensor) -> Tensor:
    """The colour that losses compare: sRGB encoding of log(1 + x) (Munkberg et al. 2022); x below 0 counts as 0.

    The logarithm keeps highlights from drowning the rest, the encoding gives dark pixels their visible weight.
    """
    return srgb_from_linear(torch.log1p(linear.clamp_min(0)))


def expose(linear: Tensor, stops: float | Tensor) -> Tensor:
    """Linear values [...] brightened by `stops` photographic stops (factors of two)."""
    return linear * 2**stops


def view_tonemap(linear: Tensor) -> Tensor:
    """Display-ready linear colour in [0,1] for viewing only, never for losses or metrics: linear [...,3] to [...,3].

    Khronos PBR Neutral (2024): the identity below 0.8 but for the 4 % of dielectric reflection taken off, so that base
    colours look like themselves; highlights are compressed, then desaturated.
    """
    start, desaturation = 0.8 - 0.04, 0.15
    linear = linear.clamp_min(0)
    least = linear.amin(-1, keepdim=True)
    color = linear - torch.where(least < 0.08, least - 6.25 * least * least, torch.full_like(least, 0.04))
    peak = color.amax(-1, keepdim=True)
    span = 1 - start
    compressed = 1 - span * span / (peak.clamp_min(start) + span - start)
    scaled = color * (compressed / peak.clamp_min(start))
    grey = 1 - 1 / (desaturation * (peak - compressed).clamp_min(0) + 1)
    return torch.where(peak < start, color, scaled + grey * (compressed - scaled))
