"""The check of what was written: read the file back with another library, render it, compare with the original."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.exchange.read import read_asset
from engine.exchange.render import AssetRenderer
from engine.scene import Camera, Environment, Material, Mesh
from engine.scene.conventions import linear_to_srgb

FAULT_BELOW = 35.0  # dB; an export under this is reported as faulty


def check_export(
    path: Path | str,
    mesh: Mesh,
    material: Material,
    environment: Environment,
    cameras: Iterable[Camera],
    rasterizer_name: str = "numba",
) -> float:
    """Mean PSNR in dB over `cameras` of the file as read back by trimesh against the asset in memory.

    Compared as metrics are: sRGB-encoded on white. At most 100. Raises ExchangeError when the file cannot be read.
    """
    written = AssetRenderer(*read_asset(path), environment, rasterizer_name)
    truth = AssetRenderer(mesh, material, environment, rasterizer_name)
    values = []
    for camera in cameras:
        error = _on_white(*written.render(camera)) - _on_white(*truth.render(camera))
        mean = np.mean(np.square(error, dtype=np.float64))
        values.append(float(-10 * np.log10(np.maximum(mean, 1e-10))))  # NaN stays
    return float(np.mean(values))


def _on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """sRGB-encoded straight colour composited on white in encoded space."""
    straight = color / np.maximum(alpha, 1e-6)[..., None]
    return linear_to_srgb(straight) * alpha[..., None] + (1 - alpha[..., None])
