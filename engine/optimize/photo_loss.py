"""How a rendered image differs from a photo: colour, structure and mask in one fused pass, with its plain torch twin.

Views are often only the part of a photo that holds the object. Beyond it both images are empty, so means are taken over
the whole photo: what is left out adds no difference, and its windows are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.optimize import photo_kernels as kernels
from engine.optimize.losses import blurred, log_l1, mse, ssim_loss

if TYPE_CHECKING:
    from engine.optimize.views import View

WINDOW = 2 * kernels.RADIUS + 1  # pixels


@dataclass(frozen=True)
class PhotoWeights:
    """Weights of the terms of `photo_loss`."""

    color: float
    mask: float
    structure: float = 0.0


@dataclass(frozen=True)
class TargetStatistics:
    """What the fused pass needs of a photo, computed once."""

    encoded: np.ndarray  # [H,3W] float32 log-encoded premultiplied colour
    mean: np.ndarray  # [H-10,3(W-10)] its windowed mean
    square: np.ndarray  # [H-10,3(W-10)] and mean square

    @staticmethod
    def of(premultiplied: Tensor) -> TargetStatistics:
        """The statistics of [H,W,3] premultiplied linear colour, both sides at least 11 pixels."""
        height, width = premultiplied.shape[:2]
        image = torch.cat([premultiplied, torch.zeros(height, width, 1)], -1).numpy()
        encoded, slope = (np.empty((height, 3 * width), np.float32) for _ in range(2))  # only one of them is kept
        none = np.empty((0, 0), np.float32)
        # encoded as rendered images are, so that equal colours differ by exactly nothing
        kernels.encode_image(image, encoded, False, encoded, slope, none, none, none)
        return TargetStatistics.of_encoded(torch.from_numpy(encoded).view(height, width, 3))

    @staticmethod
    def of_encoded(values: Tensor) -> TargetStatistics:
        """The statistics of an image [H,W,3] that is to be compared as it is."""
        height, width = values.shape[:2]
        inner = (height - WINDOW + 1, 3 * (width - WINDOW + 1))
        windowed = (blurred(v).numpy().reshape(inner) for v in (values, values * values))
        return TargetStatistics(values.numpy().reshape(height, 3 * width), *windowed)


def window_share(size: tuple[int, int], whole: tuple[int, int]) -> float:
    """The windows inside an image of `size` (height, width) among those of the photo of size `whole`."""
    if min(size) < WINDOW or min(whole) < WINDOW:
        return 1.0
    inner = [(side - WINDOW + 1) for side in (*size, *whole)]
    return inner[0] * inner[1] / (inner[2] * inner[3])


def photo_loss(image: Tensor, view: View, weights: PhotoWeights) -> tuple[Tensor, dict[str, float]]:
    """(weighted sum, differentiable; its weighted terms color, mask and, where it counts, ssim) of one view.

    `image` [H,W,4] is premultiplied linear colour and alpha, or [H,W,1] alpha alone, which has only the mask's term.
    float32 on the CPU takes the fused kernels, everything else `photo_loss_reference`.
    """
    fused = image.device.type == "cpu" and image.dtype == torch.float32 and image.shape[2] == 4
    if not fused or min(image.shape[:2]) < WINDOW:
        return photo_loss_reference(image, view, weights)
    total, terms = FusedLoss.apply(lambda drawn: _differences(drawn, view, weights), image)
    names = ("color", "mask", "ssim") if weights.structure else ("color", "mask")
    return total, dict(zip(names, terms.tolist(), strict=False))


def photo_loss_reference(image: Tensor, view: View, weights: PhotoWeights) -> tuple[Tensor, dict[str, float]]:
    """`photo_loss` in plain torch, for any device and float type."""
    terms = {"mask": weights.mask * view.share * mse(image[..., -1], view.alpha)}
    if image.shape[2] == 4:
        terms["color"] = weights.color * view.share * log_l1(image[..., :3], view.premultiplied)
        if weights.structure:
            share = window_share(view.camera.size, view.whole)
            terms["ssim"] = weights.structure * share * ssim_loss(image[..., :3], view.premultiplied)
    return sum(terms.values()), {name: float(value.detach()) for name, value in terms.items()}


class FusedLoss(torch.autograd.Function):
    """(sum [], its terms [3] without gradient) of images, whose gradients `compute` finds with them."""

    @staticmethod
    def forward(ctx, compute: Callable[..., tuple[np.ndarray, ...]], *images: Tensor):
        values, *gradients = compute(*(image.detach().contiguous().numpy() for image in images))
        ctx.gradients = [torch.from_numpy(gradient) for gradient in gradients]
        terms = torch.from_numpy(values)
        ctx.mark_non_differentiable(terms)
        return terms.sum().to(torch.float32), terms

    @staticmethod
    @once_differentiable
    def backward(ctx, to_total: Tensor, _terms: Tensor):
        return None, *(gradient.mul(to_total) for gradient in ctx.gradients)


def _differences(image: np.ndarray, view: View, weights: PhotoWeights) -> tuple[np.ndarray, np.ndarray]:
    (height, width), gradient = image.shape[:2], np.empty_like(image)
    share = window_share((height, width), view.whole)
    pixels = view.whole[0] * view.whole[1]
    encoded, slope = np.empty((2, height, 3 * width), np.float32)
    along = windows_along(height, width, weights)
    kernels.encode_image(image, view.statistics.encoded, weights.structure > 0, encoded, slope, *along)
    drawn = encoded, slope, along, image[..., 3]
    photo = view.statistics, view.alpha.numpy(), weights, pixels, share
    return differences(*drawn, *photo, gradient, gradient[..., 3]), gradient


def windows_along(height: int, width: int, weights: PhotoWeights) -> np.ndarray:
    """[3,H,3(W-10)] room for an image's windows along x, empty where they do not count."""
    return np.empty((3, height, 3 * (width - WINDOW + 1)) if weights.structure > 0 else (3, 0, 0), np.float32)


def differences(
    encoded: np.ndarray,  # [H,3W] the image's colour
    slope: np.ndarray | None,  # [H,3W] its derivative
    along: np.ndarray,  # its `windows_along`, filled
    drawn: np.ndarray,  # [H,W] its alpha
    statistics: TargetStatistics,
    alpha: np.ndarray,  # [H,W] of the photo
    weights: PhotoWeights,
    pixels: int,
    share: float,
    d_color: np.ndarray,  # [H,W,>=3] to be filled with the gradient in its first three channels
    d_drawn: np.ndarray,  # [H,W] likewise
) -> np.ndarray:
    """The weighted color, mask and ssim terms [3] float64 of an image against a photo.

    The means are over `pixels`, of which the image holds `share` of the windows.
    """
    windows = weights.structure > 0
    height, width = drawn.shape
    edge = WINDOW - 1
    back = np.empty((3, height + edge, 3 * width) if windows else (3, 0, 0), np.float32)
    structure = 0.0
    if windows:
        scale = weights.structure * share / statistics.mean.size
        sums = np.empty(height - edge)
        kernels.compare_windows(*along, statistics.mean, statistics.square, np.float32(scale), sums, *back)
        structure = scale * sums.sum()
    scales = np.array([weights.color / (3 * pixels), weights.mask / pixels])
    sums, compared = np.empty((height, 2)), (encoded, slope, statistics.encoded, alpha, windows, *back)
    kernels.compare_pixels(drawn, *compared, scales.astype(np.float32), sums, d_color, d_drawn)
    return np.array([*(scales * sums.sum(0)), structure])
