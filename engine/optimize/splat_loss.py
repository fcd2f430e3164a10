"""How drawn splats differ from a photo, both sRGB-encoded: L1, D-SSIM and the mask (Kerbl et al. 2023, eq. 7)."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.optimize import photo_kernels as kernels
from engine.optimize.losses import ssim
from engine.optimize.photo_loss import WINDOW, FusedLoss, PhotoWeights, TargetStatistics, differences, windows_along

FINEST, COARSEST = 0.1, 10.0  # px^2, the narrower Gaussian's variance at the end, and what is added at the beginning
EDGE = 0.25  # of the largest difference in the photo


def splat_loss(
    color: Tensor,  # [H,W,3] encoded
    alpha: Tensor,  # [H,W]
    target: Tensor,  # [H,W,3] the photo, encoded, over the same background
    target_alpha: Tensor,  # [H,W]
    weights: PhotoWeights,
    statistics: TargetStatistics | None = None,  # of `target`, where they have been kept
) -> tuple[Tensor, dict[str, float]]:
    """(weighted sum, differentiable; its weighted terms color, mask and ssim).

    float32 on the CPU takes the fused kernels, everything else and images under 11 pixels `splat_loss_reference`.
    """
    if color.device.type != "cpu" or color.dtype != torch.float32 or min(color.shape[:2]) < WINDOW:
        return splat_loss_reference(color, alpha, target, target_alpha, weights)
    statistics = statistics or TargetStatistics.of_encoded(target)
    photo = statistics, target_alpha.numpy(), weights, target_alpha.numel(), 1.0

    def compute(color: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, ...]:
        gradients, encoded = (np.empty_like(color), np.empty_like(alpha)), color.reshape(len(color), -1)
        along = windows_along(*alpha.shape, weights)
        if along.size:
            kernels.window_image(encoded, statistics.encoded, *along)
        return differences(encoded, None, along, alpha, *photo, *gradients), *gradients

    total, terms = FusedLoss.apply(compute, color, alpha)
    return total, dict(zip(("color", "mask", "ssim"), terms.tolist(), strict=True))


@torch.no_grad()
def pixel_errors(color: Tensor, target: Tensor) -> tuple[Tensor, float]:
    """([H,W] mean absolute difference of each pixel, mean squared difference) of two images [H,W,3]."""
    if color.device.type == "cpu" and color.dtype == target.dtype == torch.float32:
        error, squares = np.empty(color.shape[:2], np.float32), np.empty(len(color), np.float32)
        kernels.compare_colors(color.contiguous().numpy(), target.contiguous().numpy(), error, squares)
        return torch.from_numpy(error), float(squares.sum(dtype=np.float64)) / color.numel()
    difference = color - target
    return difference.abs().mean(-1), float((difference**2).mean())


def splat_loss_reference(
    color: Tensor, alpha: Tensor, target: Tensor, target_alpha: Tensor, weights: PhotoWeights
) -> tuple[Tensor, dict[str, float]]:
    """`splat_loss` in plain torch, for any device and float type."""
    terms = {
        "color": weights.color * (color - target).abs().mean(),
        "mask": weights.mask * ((alpha - target_alpha) ** 2).mean(),
        "ssim": torch.zeros((), dtype=color.dtype, device=color.device),
    }
    if weights.structure and min(color.shape[:2]) >= WINDOW:
        terms["ssim"] = weights.structure * (1 - ssim(color, target))
    return sum(terms.values()), {name: float(value.detach()) for name, value in terms.items()}


def band(target: Tensor, share: float) -> Tensor:
    """[H,W] boolean: the pixels of an encoded photo that count when `share` of the steps are done.

    The difference of two Gaussians tells edges from the rest: in the first half of the steps what is smooth counts,
    less and less coarsely, in the second the edges, finer and finer (after Hamdi et al. 2024, arXiv 2402.10128).
    """
    gray = np.ascontiguousarray(target.detach().cpu().numpy().mean(-1), np.float32)
    wide = FINEST + COARSEST * (1 - share)  # px^2
    blurred = [cv2.GaussianBlur(gray, (0, 0), math.sqrt(variance)) for variance in (wide, 2 * wide)]
    edges = np.abs(blurred[0] - blurred[1])
    is_edge = edges > EDGE * max(float(edges.max()), 1e-6)
    return torch.from_numpy(is_edge if share > 0.5 else ~is_edge).to(target.device)


def frequency_loss(color: Tensor, target: Tensor, share: float) -> Tensor:
    """Mean L1 over `band`, of all pixels."""
    inside = band(target, share)[..., None]
    return ((color - target).abs() * inside).mean()
