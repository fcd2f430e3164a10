"""The quantized palette of shaders/palette.wgsl in Python: a lamp's light, then the nearest of twelve colours."""

import numpy as np

LIGHT = np.array([0.408, 0.816, 0.408], np.float32)  # world direction toward the lamp, about unit
PALETTE = np.array(
    [
        *((0.010, 0.010, 0.030), (0.090, 0.030, 0.090), (0.300, 0.040, 0.060), (0.750, 0.100, 0.080)),
        *((0.900, 0.400, 0.080), (0.950, 0.800, 0.250), (0.250, 0.550, 0.120), (0.050, 0.250, 0.150)),
        *((0.040, 0.120, 0.350), (0.100, 0.400, 0.750), (0.500, 0.750, 0.850), (0.900, 0.880, 0.800)),
    ],
    np.float32,
)  # linear


def shade(surface):
    """Linear radiance [P,3] of P points."""
    light = 0.3 + 0.7 * np.maximum(surface.normal @ LIGHT, 0)
    wanted = np.sqrt(np.maximum(light[:, None] * surface.base_color, 0))
    distance = ((wanted[:, None] - np.sqrt(PALETTE)) ** 2).sum(-1)
    return PALETTE[distance.argmin(1)]
