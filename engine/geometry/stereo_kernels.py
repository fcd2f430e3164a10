"""Numba kernels of PatchMatch stereo: correlate patches along plane hypotheses, propagate and perturb, cross-check.

A hypothesis at a pixel is a plane in space: inverse depth there and its slopes along x and y, since the inverse depth
of a plane is affine in the picture. Pictures are luminance [H,W], pixel centres at +0.5.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

RADIUS = 2  # samples to each side of a patch
STRIDE = 2  # pixels between samples
SAMPLES = (2 * RADIUS + 1) ** 2
DOWN, ACROSS = (STRIDE * (np.indices((2 * RADIUS + 1,) * 2).reshape(2, -1) - RADIUS)).astype(np.float32)  # of samples
CONTRAST = np.float32(0.1)  # luminance difference at which a sample's say falls to 1/e: patches end at edges
PLAIN = np.float32(2e-5)  # weighted variance of luminance under which a patch shows nothing
UNKNOWN = np.float32(1.0)  # cost of no correlation
UNTRIED = np.float32(3.0)  # cost before a pixel's own plane was tried, above any other
RANDOM = 2  # random changes tried per step
OFFSETS = np.array([[0, 1], [0, -1], [1, 0], [-1, 0], [0, 5], [0, -5], [5, 0], [-5, 0]], np.int64)  # other colour
STEEPEST = np.float32(3.0)  # largest slope of a plane, tangent of its angle to the picture plane


@kernel
def _random(seed):
    """(uniform in [-1,1), next seed): a counter-based generator, O'Neill's PCG hash of 32 bits."""
    state = np.uint32(seed * np.uint32(747796405) + np.uint32(2891336453))
    word = np.uint32(((state >> np.uint32((state >> np.uint32(28)) + np.uint32(4))) ^ state) * np.uint32(277803737))
    word = np.uint32((word >> np.uint32(22)) ^ word)
    return np.float32(word) * np.float32(2.0 / 4294967296.0) - np.float32(1.0), word


@kernel
def _patch(image, mask, x, y, value, weight):
    """Fill the samples around a pixel; returns their weighted (mean, variance), variance 0 where too few are seen."""
    height, width = image.shape
    total, mean, square, seen = np.float32(0.0), np.float32(0.0), np.float32(0.0), 0
    centre = image[y, x]
    for at in range(SAMPLES):
        row, column = y + np.int64(DOWN[at]), x + np.int64(ACROSS[at])
        value[at], weight[at] = np.float32(0.0), np.float32(0.0)
        if 0 <= row < height and 0 <= column < width and mask[row, column]:
            v = image[row, column]
            w = np.exp(-abs(v - centre) / CONTRAST)
            value[at], weight[at] = v, w
            total += w
            mean += w * v
            square += w * v * v
            seen += 1
    if seen < SAMPLES // 2:
        return np.float32(0.0), np.float32(0.0)
    for at in range(SAMPLES):
        weight[at] /= total
    mean /= total
    return mean, square / total - mean * mean


@kernel
def _correlation(pictures, source, sizes, turns, shifts, x, y, p0, px, py, value, weight, mean, variance, us, vs):
    """Weighted normalized cross-correlation of the patch with one source, -1 where the plane leaves its picture.

    The plane has inverse depth `p0` at the pixel and slopes `px`, `py`; `us`, `vs` are scratch of SAMPLES.
    """
    qx, qy = np.float32(x) + np.float32(0.5), np.float32(y) + np.float32(0.5)
    s0, s1, s2 = shifts[source, 0], shifts[source, 1], shifts[source, 2]
    u0 = turns[source, 0, 0] * qx + turns[source, 0, 1] * qy + turns[source, 0, 2] + s0 * p0
    v0 = turns[source, 1, 0] * qx + turns[source, 1, 1] * qy + turns[source, 1, 2] + s1 * p0
    z0 = turns[source, 2, 0] * qx + turns[source, 2, 1] * qy + turns[source, 2, 2] + s2 * p0
    ux, uy = turns[source, 0, 0] + s0 * px, turns[source, 0, 1] + s0 * py
    vx, vy = turns[source, 1, 0] + s1 * px, turns[source, 1, 1] + s1 * py
    zx, zy = turns[source, 2, 0] + s2 * px, turns[source, 2, 1] + s2 * py
    right, bottom = np.float32(sizes[source, 1] - 1), np.float32(sizes[source, 0] - 1)
    outside = np.int32(0)
    for at in range(SAMPLES):
        dx, dy = ACROSS[at], DOWN[at]
        z = z0 + zx * dx + zy * dy
        share = np.float32(1.0) / z
        u = (u0 + ux * dx + uy * dy) * share - np.float32(0.5)
        v = (v0 + vx * dx + vy * dy) * share - np.float32(0.5)
        us[at], vs[at] = u, v
        outside += np.int32(1) - np.int32((z > 0) & (u >= 0) & (u < right) & (v >= 0) & (v < bottom))
    if outside > 0:
        return np.float32(-1.0)
    a, b, ab = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for at in range(SAMPLES):
        c, r = np.int32(us[at]), np.int32(vs[at])
        fu, fv = us[at] - np.float32(c), vs[at] - np.float32(r)
        upper = pictures[source, r, c] + fu * (pictures[source, r, c + 1] - pictures[source, r, c])
        lower = pictures[source, r + 1, c] + fu * (pictures[source, r + 1, c + 1] - pictures[source, r + 1, c])
        seen = upper + fv * (lower - upper)
        w = weight[at]
        a += w * seen
        b += w * seen * seen
        ab += w * seen * value[at]
    other = b - a * a
    if other < PLAIN:
        return np.float32(0.0)
    return (ab - a * mean) / np.sqrt(other * variance)


@kernel
def _cost(pictures, sizes, turns, shifts, x, y, p0, px, py, value, weight, mean, variance, us, vs):
    """1 - correlation, averaged over the best two sources: 0 is perfect, 1 says nothing, at most 2."""
    best, second = np.float32(-1.0), np.float32(-1.0)
    for source in range(pictures.shape[0]):
        correlation = _correlation(
            pictures, source, sizes, turns, shifts, x, y, p0, px, py, value, weight, mean, variance, us, vs
        )
        if correlation > best:
            best, second = correlation, best
        elif correlation > second:
            second = correlation
    if pictures.shape[0] == 1:
        return np.float32(1.0) - best
    return np.float32(1.0) - np.float32(0.5) * (best + second)


@parallel_kernel
def match(image, mask, nearest, farthest, focal, pictures, sizes, turns, shifts, planes, costs, color, spread, seed):
    """One half-step of PatchMatch on the pixels of one colour of a chessboard: planes [H,W,3], costs [H,W], in place.

    A pixel tries its own plane, those of eight pixels of the other colour, and random changes of the best, of
    `spread` (share of the range of inverse depth). `nearest` and `farthest` [H,W] bound the depth. `turns` [S,3,3] and
    `shifts` [S,3] take pixel and inverse depth to a source's homogeneous pixel.
    """
    height, width = image.shape
    for y_ in prange(height):
        y = np.int64(y_)
        value, weight = np.empty(SAMPLES, np.float32), np.empty(SAMPLES, np.float32)
        us, vs = np.empty(SAMPLES, np.float32), np.empty(SAMPLES, np.float32)
        for x in range(width):
            if (x + y) % 2 != color or not mask[y, x]:
                continue
            mean, variance = _patch(image, mask, x, y, value, weight)
            if variance < PLAIN:
                costs[y, x] = UNKNOWN
                continue
            high, low = np.float32(1.0) / nearest[y, x], np.float32(1.0) / farthest[y, x]
            p0, px, py, cost = planes[y, x, 0], planes[y, x, 1], planes[y, x, 2], costs[y, x]
            word = np.uint32(seed + np.uint32(y * width + x) * np.uint32(9781))
            for trial in range(-1, OFFSETS.shape[0] + RANDOM):
                t0, tx, ty = p0, px, py
                if trial == -1:
                    if cost < UNTRIED:
                        continue
                elif trial < OFFSETS.shape[0]:
                    row, column = y + OFFSETS[trial, 0], x + OFFSETS[trial, 1]
                    if row < 0 or row >= height or column < 0 or column >= width or not mask[row, column]:
                        continue
                    tx, ty = planes[row, column, 1], planes[row, column, 2]
                    t0 = planes[row, column, 0] - tx * OFFSETS[trial, 1] - ty * OFFSETS[trial, 0]
                    if t0 < low or t0 > high:
                        continue
                else:
                    share = spread if trial == OFFSETS.shape[0] else np.float32(0.25) * spread
                    r0, word = _random(word)
                    rx, word = _random(word)
                    ry, word = _random(word)
                    t0 = min(max(p0 + r0 * share * (high - low), low), high)
                    steep = STEEPEST * t0 / focal
                    tx = min(max(px + rx * share * steep, -steep), steep)
                    ty = min(max(py + ry * share * steep, -steep), steep)
                other = _cost(pictures, sizes, turns, shifts, x, y, t0, tx, ty, value, weight, mean, variance, us, vs)
                if other < cost:
                    p0, px, py, cost = t0, tx, ty, other
            planes[y, x, 0], planes[y, x, 1], planes[y, x, 2], costs[y, x] = p0, px, py, cost


@parallel_kernel
def agreeing(depth, matrix, others, sizes, tolerance, count):
    """Add to `count` [H,W] the other depth maps [S,H,W] that see each pixel's point at its depth, within `tolerance`.

    matrix [S,3,4] takes (x z, y z, z, 1) of a pixel and its depth to the other picture's homogeneous pixel; 0 in a
    depth map is unknown; tolerance is relative.
    """
    height, width = depth.shape
    for y_ in prange(height):
        y = np.int64(y_)
        for x in range(width):
            z = depth[y, x]
            if z <= 0:
                continue
            px, py = (x + np.float32(0.5)) * z, (y + np.float32(0.5)) * z
            for s in range(others.shape[0]):
                m = matrix[s]
                w = m[2, 0] * px + m[2, 1] * py + m[2, 2] * z + m[2, 3]
                if w <= 0:
                    continue
                u = (m[0, 0] * px + m[0, 1] * py + m[0, 2] * z + m[0, 3]) / w
                v = (m[1, 0] * px + m[1, 1] * py + m[1, 2] * z + m[1, 3]) / w
                if 0 <= u < sizes[s, 1] and 0 <= v < sizes[s, 0]:
                    seen = others[s, np.int64(v), np.int64(u)]
                    if seen > 0 and abs(seen - w) < tolerance * w:
                        count[y, x] += 1
