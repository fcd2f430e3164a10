"""Image metrics: PSNR, SSIM, FLIP, material maps. Images are [H,W,3], sRGB-encoded in [0,1] unless said otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from engine.optimize.views import View

PSNR_LIMIT = 100.0  # dB; equal images would have infinitely many, which JSON does not know


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, over the pixels where `mask` [H,W] is true; at most PSNR_LIMIT."""
    error = (np.asarray(image, np.float64) - np.asarray(truth, np.float64)) ** 2
    if mask is not None:
        error = error[mask]
    return psnr_of_error(float(error.mean())) if error.size else float("nan")


def psnr_of_error(mean_squared_error: float) -> float:
    """dB of a mean squared error of values in [0,1], at most PSNR_LIMIT; NaN where the error is not finite."""
    if not math.isfinite(mean_squared_error):
        return float("nan")  # min and max would keep the limit
    return float(min(PSNR_LIMIT, -10 * np.log10(max(mean_squared_error, 1e-30))))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Mean structural similarity (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, whole windows only, mean of
    the channels; equals scikit-image's with gaussian_weights and use_sample_covariance=False."""
    a, b = (np.asarray(i, np.float64).reshape(*i.shape[:2], -1) for i in (image, truth))
    border = 5 if min(a.shape[:2]) >= 11 else 0

    def blur(values: np.ndarray) -> np.ndarray:
        blurred = cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT).reshape(values.shape)
        return blurred[border : len(values) - border, border : values.shape[1] - border]

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((numerator / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


def flip(image: np.ndarray, truth: np.ndarray) -> float:
    """Mean FLIP error in [0,1] (Andersson et al. 2020) through its authors' package, at 67 pixels per degree."""
    import flip_evaluator

    truth, image = (np.ascontiguousarray(i, np.float32) for i in (truth, image))
    return float(flip_evaluator.evaluate(truth, image, "LDR", applyMagma=False)[1])


def base_color_psnr(colors: Sequence[np.ndarray], truths: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float:
    """dB of linear base colour over all masked pixels after one least-squares scale per channel, which light and base
    colour share; sequences of [H,W,3], [H,W,3] and boolean [H,W], one per view."""
    color = np.concatenate([c[m] for c, m in zip(colors, masks, strict=True)]).astype(np.float64)
    truth = np.concatenate([t[m] for t, m in zip(truths, masks, strict=True)]).astype(np.float64)
    if not len(color):
        return float("nan")
    scale = (color * truth).sum(0) / np.maximum((color * color).sum(0), 1e-12)
    return psnr_of_error(float(((color * scale - truth) ** 2).mean()))


def masked_rmse(values: Sequence[np.ndarray], truths: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float:
    """Root mean squared error over all masked pixels; sequences of [H,W], one per view."""
    error = np.concatenate([(v[m] - t[m]) ** 2 for v, t, m in zip(values, truths, masks, strict=True)])
    return float(np.sqrt(error.mean(dtype=np.float64))) if len(error) else float("nan")


def batch_psnr(images: Sequence[Tensor], views: Sequence[View]) -> float:
    """dB of a training batch on white, sRGB-encoded; rendered [H,W,4] premultiplied linear colour and alpha;
    what lies beyond a view that is part of a photo counts as equal."""
    import torch

    from engine.shading.tone import srgb_from_linear

    def on_white(premultiplied: Tensor, alpha: Tensor) -> Tensor:
        alpha = alpha[..., None].clamp(0, 1)
        return srgb_from_linear((premultiplied / alpha.clamp_min(1e-3)).clamp(0, 1)) * alpha + 1 - alpha

    with torch.no_grad():
        errors = [
            view.share
            * float(((on_white(image[..., :3], image[..., 3]) - on_white(view.premultiplied, view.alpha)) ** 2).mean())
            for image, view in zip(images, views, strict=True)
        ]
    return psnr_of_error(sum(errors) / len(errors))
