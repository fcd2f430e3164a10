"""Environment maps as the light panel shows and turns them; NumPy only, for worker threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.exchange.hdr import read_environment, reduced
from engine.scene import Environment
from engine.scene.conventions import linear_to_srgb

SHOWN_ROWS = 96  # of the picture
RELIGHT_ROWS = 128  # more than the preview's shading keeps


@dataclass(frozen=True)
class LightPicture:
    """A light map to look at, and its numbers."""

    rgb: np.ndarray  # [H,2H,3] uint8, unturned
    size: tuple[int, int]  # rows, columns of the map itself
    mean: float  # linear radiance
    brightest: float


def light_picture(environment: Environment, exposure: float) -> LightPicture:
    """The map tone-mapped, brightened by `exposure` stops; bright lamps keep their hue and stay below white."""
    radiance = np.maximum(environment.radiance, 0)
    small = reduced(radiance, SHOWN_ROWS) * 2.0**exposure
    peak = small.max(-1, keepdims=True)
    shown = small * ((1 - np.exp(-peak)) / np.maximum(peak, 1e-6))
    rgb = (np.clip(linear_to_srgb(shown), 0, 1) * 255 + 0.5).astype(np.uint8)
    return LightPicture(rgb, radiance.shape[:2], float(radiance.mean()), float(radiance.max()))


def turned(environment: Environment, up: np.ndarray, degrees: float, exposure: float) -> Environment:
    """The light turned about the world's `up` [3], counter-clockwise seen from above, and brightened by stops.

    A light that turns with the camera is turned about the camera's own up.
    """
    axis = np.array([0.0, -1.0, 0.0]) if environment.frame == "camera" else np.asarray(up, float)
    axis = axis / np.linalg.norm(axis)
    angle = np.radians(degrees)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    radiance = environment.radiance if exposure == 0 else (environment.radiance * 2.0**exposure).astype(np.float32)
    return replace(environment, radiance=radiance, world_from_environment=rotation @ environment.world_from_environment)


def read_light(path: Path, up: np.ndarray) -> Environment:
    """An HDR file as a light that stands upright. Raises ExchangeError."""
    return read_environment(path, up)


def for_viewing(environment: Environment) -> Environment:
    """The same light with few rows: quick to send and to prefilter."""
    return replace(environment, radiance=np.ascontiguousarray(reduced(environment.radiance, RELIGHT_ROWS), np.float32))
