"""The colours of previews that show numbers: depth, scores."""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def viridis() -> np.ndarray:
    """[256,3] float32 sRGB-encoded colours, violet for 0 through green to yellow for 1."""
    import cv2

    levels = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1] / np.float32(255))


def scaled_colors(share: np.ndarray) -> np.ndarray:
    """[...,3] sRGB-encoded colours of numbers in [0,1]; what lies outside is clipped."""
    return viridis()[np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)]


def depth_colors(depth: np.ndarray, depth_range: tuple[float, float]) -> np.ndarray:
    """[...,3] sRGB-encoded: near is yellow, far is violet."""
    near, far = depth_range
    return scaled_colors((far - depth) / max(far - near, 1e-12))
