"""How a render is held against its photo: the ways there are, the error maps, and their colours."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Compare = Literal["none", "side", "wipe", "blink", "difference", "flip"]
COMPARES: dict[Compare, str] = {
    "none": "Render only",
    "side": "Side by side",
    "wipe": "Wipe",
    "blink": "Blink",
    "difference": "Difference",
    "flip": "Visible error",
}
ERROR_MAPS: tuple[Compare, ...] = ("difference", "flip")
ERROR_RANGE: dict[Compare, float] = {"difference": 0.2, "flip": 1.0}  # the error at the upper end of the colours
BLINK_SECONDS = 0.5


def on_white(rgba: np.ndarray) -> np.ndarray:
    """[H,W,3] float32 in [0,1] of premultiplied uint8 [H,W,4], as the metrics see it."""
    return (rgba[..., :3].astype(np.float32) + (255 - rgba[..., 3:])) / np.float32(255)


def unignored(photo: np.ndarray, render: np.ndarray) -> np.ndarray:
    """What `render` is held against where masks tell what to ignore: the photo, opaque, with the render in the pixels
    to ignore; all three premultiplied uint8 [H,W,4]."""
    alpha = photo[..., 3:].astype(np.float32) / 255
    straight = np.minimum(photo[..., :3] / np.maximum(alpha, 0.5) + 0.5, 255).astype(np.uint8)
    opaque = np.concatenate([straight, np.full_like(photo[..., 3:], 255)], -1)
    return np.where(alpha > 0.5, opaque, render)


def difference(render: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """[H,W] float32 largest channel difference of two premultiplied uint8 images on white."""
    return np.abs(on_white(render) - on_white(photo)).max(-1)


def error_colors(error: np.ndarray, compare: Compare) -> np.ndarray:
    """uint8 [H,W,4], opaque: black for none, through violet and orange to pale yellow for the most (magma)."""
    levels = np.clip(error * (255 / ERROR_RANGE[compare]) + 0.5, 0, 255).astype(np.uint8)
    colors = cv2.applyColorMap(np.ascontiguousarray(levels), cv2.COLORMAP_MAGMA)
    return cv2.cvtColor(colors, cv2.COLOR_BGR2RGBA)
