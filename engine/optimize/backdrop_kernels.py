"""Looking up what a camera sees of an equirectangular map, and the way back; shading/equirectangular.py, but fast."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

HALF_TURN, QUARTER_TURN = np.float32(np.pi), np.float32(np.pi / 2)


@kernel
def angle_of(y, x):
    """atan2 of float32 to 1e-6 (Abramowitz and Stegun 4.4.49)."""
    high, low = max(abs(x), abs(y)), min(abs(x), abs(y))
    t = low / max(high, np.float32(1e-30))
    s = t * t
    series = np.float32(0.0028662257)
    series = series * s - np.float32(0.0161657367)
    series = series * s + np.float32(0.0429096138)
    series = series * s - np.float32(0.0752896400)
    series = series * s + np.float32(0.1065626393)
    series = series * s - np.float32(0.1420889944)
    series = series * s + np.float32(0.1999355085)
    series = series * s - np.float32(0.3333314528)
    angle = t + t * s * series
    angle = QUARTER_TURN - angle if abs(y) > abs(x) else angle
    angle = HALF_TURN - angle if x < 0 else angle
    return -angle if y < 0 else angle


@kernel
def corner(row, column, height, width):
    """The texel (row, column), which may lie across the seam or a pole."""
    if row < 0 or row >= height:
        column += width // 2
        row = min(max(row, 0), height - 1)
    return row, column % width


@parallel_kernel
def look_up(colors, environment_from_camera, lens, places, image):
    """image [h,w,3] of `colors` [H,W,3] through a lens (fx, fy, cx, cy); places [h,w,2] are columns and rows."""
    height, width = colors.shape[:2]
    turn = environment_from_camera
    for index in prange(image.shape[0]):
        i = np.int64(index)
        b = (np.float32(i) + np.float32(0.5) - lens[3]) / lens[1]
        for j in range(image.shape[1]):
            a = (np.float32(j) + np.float32(0.5) - lens[2]) / lens[0]
            x = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2]
            y = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2]
            z = turn[2, 0] * a + turn[2, 1] * b + turn[2, 2]
            u = angle_of(x, -z) / (np.float32(2) * HALF_TURN) + np.float32(0.5)
            v = angle_of(np.sqrt(x * x + z * z), y) / HALF_TURN
            places[i, j, 0] = u * np.float32(width) - np.float32(0.5)
            places[i, j, 1] = v * np.float32(height) - np.float32(0.5)
        for j in range(image.shape[1]):
            left, top = np.int64(np.floor(places[i, j, 0])), np.int64(np.floor(places[i, j, 1]))
            p, q = places[i, j, 0] - np.float32(left), places[i, j, 1] - np.float32(top)
            r0, c0 = corner(top, left, height, width)
            r1, c1 = corner(top, left + 1, height, width)
            r2, c2 = corner(top + 1, left, height, width)
            r3, c3 = corner(top + 1, left + 1, height, width)
            for k in range(3):
                upper = colors[r0, c0, k] * (np.float32(1) - p) + colors[r1, c1, k] * p
                lower = colors[r2, c2, k] * (np.float32(1) - p) + colors[r3, c3, k] * p
                image[i, j, k] = upper * (np.float32(1) - q) + lower * q


@parallel_kernel
def look_up_backward(d_image, places, chunks):
    """chunks [C,H,W,3], whose sum is the gradient of `colors`; each takes a band of rows."""
    count, height, width = chunks.shape[:3]
    for index in prange(count):
        chunk = np.int64(index)
        chunks[chunk] = 0
        for i in range(chunk * d_image.shape[0] // count, (chunk + 1) * d_image.shape[0] // count):
            for j in range(d_image.shape[1]):
                left, top = np.int64(np.floor(places[i, j, 0])), np.int64(np.floor(places[i, j, 1]))
                p, q = places[i, j, 0] - np.float32(left), places[i, j, 1] - np.float32(top)
                r0, c0 = corner(top, left, height, width)
                r1, c1 = corner(top, left + 1, height, width)
                r2, c2 = corner(top + 1, left, height, width)
                r3, c3 = corner(top + 1, left + 1, height, width)
                for k in range(3):
                    upper, lower = d_image[i, j, k] * (np.float32(1) - q), d_image[i, j, k] * q
                    chunks[chunk, r0, c0, k] += upper * (np.float32(1) - p)
                    chunks[chunk, r1, c1, k] += upper * p
                    chunks[chunk, r2, c2, k] += lower * (np.float32(1) - p)
                    chunks[chunk, r3, c3, k] += lower * p
