"""Drawing directions from an environment map in proportion to its light: a row by its total, then a texel in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.scene.environment import Environment, texel_solid_angle

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
FLOOR = 1e-3  # share of the draws that ignores the light, so that no direction that shines has density zero


@dataclass(frozen=True)
class LightSampler:
    """What the kernels need to look up an environment, to draw from it and to know the density of a draw."""

    padded: np.ndarray  # [H+2,W+2,3] float32 radiance with a border from across the seam and over the poles
    rows: np.ndarray  # [H+1] float64 cumulative share of each row
    columns: np.ndarray  # [H,W+1] float64 cumulative share of each texel in its row
    density: np.ndarray  # [H,W] float64 per steradian, constant over a texel

    @staticmethod
    def of(environment: Environment) -> LightSampler:
        """The sampler of `environment`; the density follows the bilinear radiance's mean over each texel."""
        radiance = np.asarray(environment.radiance, np.float32)
        height, width = radiance.shape[:2]
        half = width // 2
        padded = np.concatenate([np.roll(radiance[:1], half, 1), radiance, np.roll(radiance[-1:], half, 1)])
        padded = np.ascontiguousarray(np.concatenate([padded[:, -1:], padded, padded[:, :1]], 1))
        luminance = padded.astype(np.float64) @ LUMINANCE
        rows = (luminance[:-2] + 6 * luminance[1:-1] + luminance[2:]) / 8
        mean = (rows[:, :-2] + 6 * rows[:, 1:-1] + rows[:, 2:]) / 8
        solid_angle = texel_solid_angle(height, width)
        power = mean * solid_angle
        total = power.sum()
        uniform = solid_angle / (4 * np.pi)
        share = (1 - FLOOR) * power / total + FLOOR * uniform if total > 0 else uniform
        row_share = share.sum(1)
        columns = np.zeros((height, width + 1))
        np.cumsum(share / row_share[:, None], axis=1, out=columns[:, 1:])
        cumulative = np.concatenate([[0.0], np.cumsum(row_share)])
        cumulative[-1] = columns[:, -1] = 1.0
        return LightSampler(padded, cumulative, columns, share / solid_angle)
