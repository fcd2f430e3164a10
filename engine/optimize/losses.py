"""Image losses and regularizers by name, on linear radiance."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.errors import RecipeError
from engine.shading.tone import log_tonemap

Loss = Callable[[Tensor, Tensor], Tensor]


def log_l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of log-encoded linear images of one shape."""
    return (log_tonemap(image) - log_tonemap(target)).abs().mean()


def log_mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of log-encoded linear images of one shape."""
    return ((log_tonemap(image) - log_tonemap(target)) ** 2).mean()


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (image - target).abs().mean()


def mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference."""
    return ((image - target) ** 2).mean()


def ssim_loss(image: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM of two [H,W,C] linear images after log encoding; 11x11 Gaussian of sigma 1.5, whole windows only."""
    return 1 - ssim(log_tonemap(image), log_tonemap(target))


@functools.cache
def _window() -> np.ndarray:
    x = np.arange(-5, 6)
    weight = np.exp(-(x**2) / (2 * 1.5**2))
    return weight / weight.sum()


def _blurred(image: Tensor) -> Tensor:
    """[H,W,C], zero outside, under the separable window. OpenCV is ten times faster than torch on the CPU."""
    if image.device.type == "cpu":
        array = image.detach().contiguous().numpy()
        blurred = cv2.sepFilter2D(array, -1, _window(), _window(), borderType=cv2.BORDER_CONSTANT)
        return torch.from_numpy(blurred.reshape(array.shape))
    weight = torch.as_tensor(_window(), dtype=image.dtype, device=image.device)
    padded = torch.nn.functional.pad(image, (0, 0, 5, 5, 5, 5))
    rows = functools.reduce(torch.add, (padded[i : i + len(image)] * weight[i] for i in range(11)))
    return functools.reduce(torch.add, (rows[:, i : i + image.shape[1]] * weight[i] for i in range(11)))


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity of two [H,W,C] images with values in [0,1] (Wang et al. 2004), differentiable in both.

    Images smaller than the window, 11 pixels, are compared as one window.
    """
    stack = torch.cat([image, target, image * image, target * target, image * target], -1)
    windows = stack.mean((0, 1), keepdim=True) if min(image.shape[:2]) < 11 else blurred(stack)
    mean_a, mean_b, square_a, square_b, product = windows.chunk(5, -1)
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (numerator / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean()


def blurred(image: Tensor) -> Tensor:
    """[H-10,W-10,C] means of [H,W,C] under the Gaussian window, whole windows only; differentiable."""
    return _Blur.apply(image)


class _Blur(torch.autograd.Function):
    """Whole windows only; the window is even, so the transpose is the same blur of the gradient with zeros around."""

    @staticmethod
    def forward(ctx, image: Tensor) -> Tensor:
        return _blurred(image)[5:-5, 5:-5]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _blurred(torch.nn.functional.pad(gradient, (0, 0, 5, 5, 5, 5)))


LOSSES: dict[str, Loss] = {"log_l1": log_l1, "log_mse": log_mse, "l1": l1, "mse": mse, "ssim": ssim_loss}


def loss(name: str) -> Loss:
    """The image loss of that name. Raises RecipeError naming the known ones."""
    if name not in LOSSES:
        raise RecipeError(f"unknown loss {name!r}: use one of {', '.join(LOSSES)}")
    return LOSSES[name]


def color_loss(image: Tensor, target: Tensor, name: str = "log_l1") -> Tensor:
    """Colour difference of premultiplied linear images [H,W,3]."""
    return loss(name)(image, target)


def mask_loss(alpha: Tensor, target: Tensor, name: str = "mse") -> Tensor:
    """Difference of coverage [H,W] in [0,1]."""
    return loss(name)(alpha, target)


def total_variation(texture: Tensor) -> Tensor:
    """Mean absolute difference between neighbouring texels of [H,W,C]."""
    return (texture[1:] - texture[:-1]).abs().mean() + (texture[:, 1:] - texture[:, :-1]).abs().mean()


def neutral_light(radiance: Tensor) -> Tensor:
    """Mean absolute distance of the channels of [...,3] from their mean, which anchors the light's colour (Munkberg et
    al. 2022)."""
    return (radiance - radiance.mean(-1, keepdim=True)).abs().mean()


def toward(value: float) -> Callable[[Tensor], Tensor]:
    """A regularizer that draws a map toward a prior value."""
    return lambda values: (values - value).abs().mean()


REGULARIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "total_variation": total_variation,
    "neutral_light": neutral_light,
    "matte": toward(1.0),
    "dielectric": toward(0.0),
}


def regularizer(name: str) -> Callable[[Tensor], Tensor]:
    """The regularizer of that name. Raises RecipeError naming the known ones."""
    if name not in REGULARIZERS:
        raise RecipeError(f"unknown regularizer {name!r}: use one of {', '.join(REGULARIZERS)}")
    return REGULARIZERS[name]
