"""Discs to pixels, tile by tile: colours front to back, and how deep they lie (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.splats.numba_composite import (
    CHECK,
    HALF,
    LOG2E,
    ONE,
    PIXELS,
    SIDE,
    add_further,
    begin,
    cover,
    exp2,
    is_full,
    store,
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


@kernel
def meeting(begun, across, depth, dx, square):
    """(q, depth, u, v, 1 / D, whether the plane is hit) of a ray and a disc; else the screen filter counts (eq. 11).

    U, V and D are `begun` plus `across` times `dx`; `depth` is that of the mean and its slopes along u and v; `square`
    is dy^2.
    """
    inverse = ONE / (begun[2] + across[2] * dx)
    u, v = (begun[0] + across[0] * dx) * inverse, (begun[1] + across[1] * dx) * inverse
    met, filtered, z = u * u + v * v, TWO * (dx * dx + square), depth[0] + depth[1] * u + depth[2] * v
    met = met if z > NEAR else FAR
    hit = met <= filtered
    return min(min(met, filtered), DARK), z if hit else depth[0], u, v, inverse, hit


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
                across, opacity = (disc[UX], disc[VX], disc[DX]), disc[OPACITY]
                depth = disc[Z], disc[ZU], disc[ZV]
                feature = features[splat]
                red, green, blue = feature[0], feature[1], feature[2]
                left = np.float32(x0) + HALF - disc[X]
                first, last = disc_rows(disc, np.float32(y0))
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - disc[Y]
                    begun, square = (disc[UY] * dy, disc[VY] * dy, disc[D0] + disc[DY] * dy), dy * dy
                    line = room[row * SIDE :]
                    for k in range(SIDE):
                        q, z = meeting(begun, across, depth, left + np.float32(k), square)[:2]
                        _, before, after, _, weight = cover(line, k, opacity * exp2(q * (-HALF * LOG2E)))
                        line[COLORS + k] += red * weight
                        line[COLORS + PIXELS + k] += green * weight
                        line[COLORS + 2 * PIXELS + k] += blue * weight
                        if depths is not None:
                            total, mean, median = line[SUM + k], line[MIDDLE + k], line[HALVES + k]
                            away, share = z - mean, weight / max(total + weight, TINY)
                            line[SUM + k] = total + weight
                            line[MIDDLE + k] = mean + away * share
                            line[SQUARES + k] += away * away * share * total
                            passed = z if after <= HALF else median
                            line[HALVES + k] = passed if before > HALF else median
                    add_further(line, feature, COLORS)
            store(x0, y0, room, COLORS, image, transmittance)
            if depths is not None:
                for row in range(min(SIDE, height - y0)):
                    for k in range(min(SIDE, width - x0)):
                        for part in range(DEPTHS):
                            depths[y0 + row, x0 + k, part] = room[SUM + part * PIXELS + row * SIDE + k]
