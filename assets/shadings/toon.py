"""The cel shading of shaders/toon.wgsl in Python, to start your own from: --set shading.file=FILE --allow-scripts."""

import numpy as np

LIGHT = np.array([0.408, 0.816, 0.408], np.float32)  # world direction toward the lamp, about unit
RAMP = np.array([0.25, 0.6, 1.0], np.float32)  # share of the base colour in shadow, half light and light
STEPS = (0.0, 0.5)  # cosines to the light at which the bands change
OUTLINE = 0.2  # cosine to the camera below which the outline is drawn


def shade(surface):
    """Linear radiance [P,3] of P points; `surface` has position, normal, toward, base_color, roughness, uv, ..."""
    color = RAMP[np.digitize(surface.normal @ LIGHT, STEPS)][:, None] * surface.base_color
    return np.where(((surface.normal * surface.toward).sum(1) < OUTLINE)[:, None], 0.02, color)
