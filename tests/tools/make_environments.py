"""Writes the outdoor lights of assets/environments: python tests/tools/make_environments.py [FOLDER].

Row 0 looks to +Y, the centre column to -Z, u grows toward +X; linear radiance, CC0 1.0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from engine.exchange.hdr import write_hdr  # noqa: E402
from engine.scene.environment import direction_of_texel, texel_solid_angle  # noqa: E402

ROWS = 128
MEAN = 0.55  # radiance over all directions, near that of the studio, so that no light needs another exposure


def disc(d: np.ndarray, azimuth: float, elevation: float, radius: float, soft: float) -> np.ndarray:
    """[H,W,1]: 1 within `radius` degrees of a direction, 0 outside, blurred over `soft` degrees; azimuth 0 is -Z."""
    a, e = np.radians(azimuth), np.radians(elevation)
    toward = np.array([np.cos(e) * np.sin(a), np.sin(e), -np.cos(e) * np.cos(a)])
    away = np.degrees(np.arccos(np.clip(d @ toward, -1, 1)))
    return 1 / (1 + np.exp((away - radius) / soft))[..., None]


def over_ground(d: np.ndarray, sky: np.ndarray, ground: tuple[float, float, float], soft: float = 0.02) -> np.ndarray:
    """[H,W,3] the sky above the horizon and one colour below it."""
    return np.array(ground) + (sky - np.array(ground)) / (1 + np.exp(-d[..., 1:2] / soft))


def overcast(d: np.ndarray) -> np.ndarray:
    """A closed cloud cover: the CIE standard overcast sky, three times as bright above as at the horizon."""
    sky = (1 + 2 * np.clip(d[..., 1:2], 0, 1)) / 3 * np.array([0.95, 1.0, 1.07])
    return over_ground(d, sky, (0.16, 0.15, 0.13))


def low_sun(d: np.ndarray) -> np.ndarray:
    """A warm sun 12 degrees above the horizon, its glow, and a sky that turns blue above."""
    up = np.clip(d[..., 1:2], 0, 1)
    sky = np.array([0.16, 0.27, 0.50]) + np.exp(-up * 6) * np.array([0.52, 0.26, 0.02])
    sky = sky + disc(d, -60, 12, 0, 14) * np.array([2.4, 1.2, 0.4])
    return over_ground(d, sky, (0.17, 0.13, 0.10)) + disc(d, -60, 12, 3, 0.5) * np.array([170.0, 96.0, 40.0])


def clear_noon(d: np.ndarray) -> np.ndarray:
    """A high white sun in a blue sky that pales toward the horizon."""
    up = np.clip(d[..., 1:2], 0, 1)
    sky = np.array([0.14, 0.30, 0.66]) + np.exp(-up * 5) * np.array([0.42, 0.40, 0.24])
    sky = sky + disc(d, 40, 62, 0, 8) * np.array([0.9, 0.85, 0.75])
    return over_ground(d, sky, (0.30, 0.28, 0.24)) + disc(d, 40, 62, 3, 0.5) * np.array([205.0, 196.0, 178.0])


LIGHTS = {"clear_noon": clear_noon, "low_sun": low_sun, "overcast": overcast}


def radiance(name: str) -> np.ndarray:
    """The light called `name`, [ROWS,2 ROWS,3] float32, with the mean radiance MEAN."""
    light = LIGHTS[name](direction_of_texel(ROWS, 2 * ROWS))
    share = texel_solid_angle(ROWS, 2 * ROWS)[..., None] / (4 * np.pi)
    return (light * (MEAN / (light.mean(-1, keepdims=True) * share).sum())).astype(np.float32)


def main(folder: Path) -> None:
    """Write all of them into `folder`."""
    for name in LIGHTS:
        write_hdr(folder / f"{name}.hdr", radiance(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "assets" / "environments")
