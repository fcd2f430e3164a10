"""A photograph as the losses compare with it: premultiplied, area-filtered to a stage's image size; needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from engine.scene import Camera

if TYPE_CHECKING:
    from engine.capture import Pixels


def loss_camera(camera: Camera, image_size: int) -> Camera:
    """`camera` scaled so that its longest side is at most `image_size` pixels; 0 keeps it."""
    factor = min(1.0, image_size / max(camera.width, camera.height)) if image_size > 0 else 1.0
    width, height = max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
    return camera.resized(width, height) if factor < 1 else camera


def loss_photo(pixels: Pixels, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(linear colour times alpha [H,W,3], alpha [H,W]) float32 at the size of `camera`; alpha is 1 without a mask."""
    alpha = pixels.mask if pixels.mask is not None else np.ones(pixels.color.shape[:2], np.float32)
    color = pixels.color * alpha[..., None]
    if color.shape[:2] != camera.size:
        size = (camera.width, camera.height)
        color = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(color, np.float32), np.ascontiguousarray(alpha, np.float32)
