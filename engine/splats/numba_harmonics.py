"""Colour of one splat from its spherical harmonics and the direction it is seen from, and the gradients back."""

from __future__ import annotations

import math

import numpy as np

from engine.kernels.settings import kernel

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
# real spherical harmonics with the signs of Sloan 2008, as 3DGS files use them
C0 = np.float32(0.5 * math.sqrt(1 / math.pi))
C1 = np.float32(math.sqrt(3 / (4 * math.pi)))
C2A, C2B, C2C = (np.float32(0.25 * math.sqrt(k / math.pi)) for k in (60, 5, 15))
C3A, C3C = (np.float32(0.25 * math.sqrt(k / (2 * math.pi))) for k in (35, 21))
C3D, C3E = np.float32(0.25 * math.sqrt(7 / math.pi)), np.float32(0.25 * math.sqrt(105 / math.pi))


@kernel
def basis(x, y, z, degree, values):
    """Fill the first (degree+1)^2 of `values` [16] for a unit direction."""
    values[0] = C0
    if degree > 0:
        values[1], values[2], values[3] = -C1 * y, C1 * z, -C1 * x
    if degree > 1:
        values[4], values[5] = C2A * x * y, -C2A * y * z
        values[6] = C2B * (np.float32(3) * z * z - ONE)
        values[7], values[8] = -C2A * x * z, C2C * (x * x - y * y)
    if degree > 2:
        values[9] = -C3A * y * (np.float32(3) * x * x - y * y)
        values[10] = np.float32(2) * C3E * x * y * z
        values[11] = -C3C * y * (np.float32(5) * z * z - ONE)
        values[12] = C3D * z * (np.float32(5) * z * z - np.float32(3))
        values[13] = -C3C * x * (np.float32(5) * z * z - ONE)
        values[14] = C3E * z * (x * x - y * y)
        values[15] = -C3A * x * (x * x - np.float32(3) * y * y)


@kernel
def basis_slope(x, y, z, degree, w):
    """The gradient (x, y, z) of the sum of `basis` weighted by `w` [16], to a direction of any length."""
    dx, dy, dz = ZERO, ZERO, ZERO
    two, three, five, six, ten = np.float32(2), np.float32(3), np.float32(5), np.float32(6), np.float32(10)
    if degree > 0:
        dx, dy, dz = -C1 * w[3], -C1 * w[1], C1 * w[2]
    if degree > 1:
        dx += C2A * (y * w[4] - z * w[7]) + two * C2C * x * w[8]
        dy += C2A * (x * w[4] - z * w[5]) - two * C2C * y * w[8]
        dz += -C2A * (y * w[5] + x * w[7]) + six * C2B * z * w[6]
    if degree > 2:
        ring = five * z * z - ONE
        dx += -six * C3A * x * y * w[9] + two * C3E * y * z * w[10] - C3C * ring * w[13]
        dx += two * C3E * x * z * w[14] - three * C3A * (x * x - y * y) * w[15]
        dy += -three * C3A * (x * x - y * y) * w[9] + two * C3E * x * z * w[10] - C3C * ring * w[11]
        dy += -two * C3E * y * z * w[14] + six * C3A * x * y * w[15]
        dz += two * C3E * x * y * w[10] - ten * C3C * z * (y * w[11] + x * w[13])
        dz += C3D * (np.float32(15) * z * z - three) * w[12] + C3E * (x * x - y * y) * w[14]
    return dx, dy, dz


@kernel
def weighted(harmonics, degree, values):
    """A half and the sum of `harmonics` [K,3] weighted by `values` [16]: red, green and blue, not clamped."""
    red, green, blue = HALF, HALF, HALF
    for term in range((degree + 1) * (degree + 1)):
        value = values[term]
        red += value * harmonics[term, 0]
        green += value * harmonics[term, 1]
        blue += value * harmonics[term, 2]
    return red, green, blue


@kernel
def colored(mean, position, harmonics, degree, values, color):
    """Fill the first three of `color` of a splat with `harmonics` [K,3] seen from `position`; `values` [16] is room."""
    x, y, z = mean[0] - position[0], mean[1] - position[1], mean[2] - position[2]
    scale = ONE / max(math.sqrt(x * x + y * y + z * z), np.float32(1e-20))
    basis(x * scale, y * scale, z * scale, degree, values)
    red, green, blue = weighted(harmonics, degree, values)
    color[0], color[1], color[2] = max(red, ZERO), max(green, ZERO), max(blue, ZERO)


@kernel
def colored_backward(mean, position, harmonics, degree, d_color, values, weights, d_harmonics, d_mean):
    """Fill the used rows of `d_harmonics` [K,3]; add to `d_mean` [3]; a channel clamped at 0 has none."""
    x, y, z = mean[0] - position[0], mean[1] - position[1], mean[2] - position[2]
    scale = ONE / max(math.sqrt(x * x + y * y + z * z), np.float32(1e-20))
    x, y, z = x * scale, y * scale, z * scale
    basis(x, y, z, degree, values)
    red, green, blue = weighted(harmonics, degree, values)
    d_red, d_green = (d_color[0] if red > ZERO else ZERO), (d_color[1] if green > ZERO else ZERO)
    d_blue = d_color[2] if blue > ZERO else ZERO
    for term in range((degree + 1) * (degree + 1)):
        value = values[term]
        d_harmonics[term, 0], d_harmonics[term, 1] = value * d_red, value * d_green
        d_harmonics[term, 2] = value * d_blue
        weights[term] = harmonics[term, 0] * d_red + harmonics[term, 1] * d_green + harmonics[term, 2] * d_blue
    if degree > 0:
        dx, dy, dz = basis_slope(x, y, z, degree, weights)
        along = dx * x + dy * y + dz * z
        d_mean[0] += (dx - along * x) * scale
        d_mean[1] += (dy - along * y) * scale
        d_mean[2] += (dz - along * z) * scale
