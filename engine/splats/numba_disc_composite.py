"""Discs to pixels, tile by tile: colours front to back, and how deep they lie (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.splats.numba_composite import (
    CHECK,
    CLEAR,
    HALF,
    LEAST,
    LOG2E,
    MOST,
    ONE,
    OPEN,
    PIXELS,
    SIDE,
    STOP,
    WEIGHT,
    ZERO,
    begin,
    exp2,
    is_full,
)
from engine.splats.numba_disc_project import (
    BOTTOM,
    D0,
    DX,
    DY,
    NEAR,
    OPACITY,
    TOP,
    TWO,
    UX,
    UY,
    VX,
    VY,
    ZU,
    ZV,
    X,
    Y,
    Z,
)

CHUNKS = 64
# What is kept of depth: the sum of weights, mean depth, the sum of weight times squared distance from it, median depth.
# Sums of squares instead of the mean would lose a thin surface's digits.
TOTAL, MEAN, SPREAD, MEDIAN, DEPTHS = range(5)
SUM, MIDDLE, SQUARES, HALVES, COLORS = (part * PIXELS for part in range(3, 8))  # where a tile's room holds it
TINY, FAR = np.float32(1e-20), np.float32(1e30)
DARK = np.float32(64)  # of q: far beyond any threshold, yet its power is a normal number, which are faster


@kernel
def disc_rows(disc, y0):
    """(first, past last) row of a tile that a disc reaches."""
    top, bottom = disc[TOP] - HALF - y0, disc[BOTTOM] - HALF - y0
    return max(np.int64(np.ceil(top)), 0), min(np.int64(np.floor(bottom)) + 1, SIDE)


@parallel_kernel
def composite_discs(width, height, columns, starts, splats, discs, features, image, transmittance, depths):
    """Fill `image` [H,W,F], `transmittance` [H,W] and, where it is not None, `depths` [H,W,4]: see TOTAL to MEDIAN."""
    tiles, channels = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        room = np.empty(COLORS + channels * PIXELS, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and is_full(room):
                    break
                splat = splats[place]
                disc = discs[splat]
                ux, vx, nx, opacity = disc[UX], disc[VX], disc[DX], disc[OPACITY]
                z0, zu, zv = disc[Z], disc[ZU], disc[ZV]
                red, green, blue = features[splat, 0], features[splat, 1], features[splat, 2]
                left = np.float32(x0) + HALF - disc[X]
                first, last = disc_rows(disc, np.float32(y0))
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - disc[Y]
                    u0, v0, n0, square = disc[UY] * dy, disc[VY] * dy, disc[D0] + disc[DY] * dy, dy * dy
                    line = room[row * SIDE :]
                    for k in range(SIDE):
                        dx = left + np.float32(k)
                        inverse = ONE / (n0 + nx * dx)
                        u, v = (u0 + ux * dx) * inverse, (v0 + vx * dx) * inverse
                        met, filtered, z = u * u + v * v, TWO * (dx * dx + square), z0 + zu * u + zv * v
                        met = met if z > NEAR else FAR
                        q = min(min(met, filtered), DARK)
                        alpha = min(opacity * exp2(q * (-HALF * LOG2E)), MOST)
                        alpha = alpha * line[OPEN + k] if alpha >= LEAST else ZERO
                        before = line[CLEAR + k]
                        after = before * (ONE - alpha)
                        goes_on = after >= STOP
                        weight = alpha * before if goes_on else ZERO
                        line[CLEAR + k] = after if goes_on else before
                        line[OPEN + k] = line[OPEN + k] if goes_on else ZERO
                        line[WEIGHT + k] = weight
                        line[COLORS + k] += red * weight
                        line[COLORS + PIXELS + k] += green * weight
                        line[COLORS + 2 * PIXELS + k] += blue * weight
                        if depths is not None:
                            z = z if met <= filtered else z0
                            total, mean, median = line[SUM + k], line[MIDDLE + k], line[HALVES + k]
                            away, share = z - mean, weight / max(total + weight, TINY)
                            line[SUM + k] = total + weight
                            line[MIDDLE + k] = mean + away * share
                            line[SQUARES + k] += away * away * share * total
                            passed = z if after <= HALF else median
                            line[HALVES + k] = passed if before > HALF else median
                    for feature in range(3, channels):
                        value = features[splat, feature]
                        further = line[feature * PIXELS :]
                        for k in range(SIDE):
                            further[COLORS + k] += value * line[WEIGHT + k]
            for row in range(min(SIDE, height - y0)):
                for k in range(min(SIDE, width - x0)):
                    transmittance[y0 + row, x0 + k] = room[CLEAR + row * SIDE + k]
                    for feature in range(channels):
                        image[y0 + row, x0 + k, feature] = room[COLORS + feature * PIXELS + row * SIDE + k]
                    if depths is not None:
                        for part in range(DEPTHS):
                            depths[y0 + row, x0 + k, part] = room[SUM + part * PIXELS + row * SIDE + k]
