"""Radiance HDR files (RGBE): light maps in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.atomic import write_file
from engine.exchange.references import read_error
from engine.scene.conventions import gltf_from_capture
from engine.scene.environment import Environment, direction_of_texel, texel_solid_angle, uv_of_direction
from engine.scene.radiance import read_radiance


def write_hdr(path: Path | str, radiance: np.ndarray) -> None:
    """Write linear radiance [H,W,3] >= 0; RGBE errs by 0.4 % of a texel's largest channel. Raises ExchangeError."""
    import cv2

    if not np.isfinite(radiance).all():
        raise ExchangeError(f"{path}: the light has non-finite values; go back to an earlier checkpoint")
    pixels = np.maximum(radiance, 0).astype(np.float32)
    peak = pixels.max(-1, keepdims=True)
    half_step = np.ldexp(np.float32(1), np.frexp(peak)[1] - 9)
    pixels += np.where(peak > 1e-30, half_step, 0)  # the encoder rounds down
    pixels = np.ascontiguousarray(pixels[..., ::-1])
    done, data = cv2.imencode(".hdr", pixels)
    if not done:
        raise ExchangeError(f"{path}: the light could not be encoded as HDR")
    write_file(path, data.tobytes())


def read_hdr(path: Path | str) -> np.ndarray:
    """Linear radiance [H,W,3] float32 of an .hdr file; raises ExchangeError naming it."""
    path = Path(path)
    try:
        pixels = read_radiance(path)
    except OSError as error:
        raise read_error(path, error) from error
    except ValueError as error:
        raise ExchangeError(f"{path}: {error}; use an equirectangular .hdr file") from error
    if not np.isfinite(pixels).all():
        raise ExchangeError(f"{path}: it has non-finite radiance; save it again")
    return pixels


def write_environment(path: Path | str, environment: Environment, up: np.ndarray) -> None:
    """Write the light as it surrounds the exported GLB: row 0 is glTF's +Y, the centre column its -Z.

    Resampled only where the light's own frame is another one. A light that turns with the camera stays in its frame.
    """
    radiance = environment.radiance
    if environment.frame == "world":
        rotation = environment.world_from_environment.T @ gltf_from_capture(up).T  # environment from glTF
        if not np.allclose(rotation, np.eye(3), atol=1e-6):
            radiance = rotated(radiance, rotation)
    write_hdr(path, radiance)


def read_environment(path: Path | str, up: np.ndarray) -> Environment:
    """The light of an .hdr file, standing upright in a world whose up direction is `up` [3]."""
    return Environment(read_hdr(path), gltf_from_capture(up).T)


def reduced(radiance: np.ndarray, rows: int) -> np.ndarray:
    """An equirectangular map [H,W,3] averaged down to `rows` x 2 `rows`; returned as it is when it has no more rows."""
    import cv2

    if radiance.shape[0] <= rows:
        return radiance
    weight = texel_solid_angle(*radiance.shape[:2])[..., None]
    size = (2 * rows, rows)
    total = cv2.resize(np.ascontiguousarray(radiance * weight, np.float32), size, interpolation=cv2.INTER_AREA)
    return total / cv2.resize(weight[..., 0].astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]


def rotated(radiance: np.ndarray, source_from_target: np.ndarray) -> np.ndarray:
    """An equirectangular map [H,W,3] resampled so that target direction d shows what the source has at R d."""
    height, width = radiance.shape[:2]
    uv = uv_of_direction(direction_of_texel(height, width) @ np.asarray(source_from_target, float).T)
    x, y = uv[..., 0] * width - 0.5, np.clip(uv[..., 1] * height - 0.5, 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.minimum(np.floor(y).astype(int), height - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    y1 = np.minimum(y0 + 1, height - 1)
    top = radiance[y0, x0 % width] * (1 - fx) + radiance[y0, (x0 + 1) % width] * fx
    bottom = radiance[y1, x0 % width] * (1 - fx) + radiance[y1, (x0 + 1) % width] * fx
    return (top * (1 - fy) + bottom * fy).astype(np.float32)
