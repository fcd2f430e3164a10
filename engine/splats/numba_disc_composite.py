"""Discs to pixels, tile by tile: colours front to back, and how deep they lie (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel, widest_vectors
from engine.splats.numba_composite import (
    CHECK,
    COLUMN,
    HALF,
    LOG2E,
    ONE,
    PIXELS,
    ROW,
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
SUM, MIDDLE, SQUARES, HALVES, COLORS = (part * PIXELS for part in range(4, 9))  # where a tile's room holds it
TINY, FAR = np.float32(1e-20), np.float32(1e30)
DARK = np.float32(64)  # of q: far beyond any threshold, yet its power is a normal number, which are faster


@kernel
def disc_pixels(disc, y0):
    """(first, how many) pixels of a tile lie in the rows that a disc reaches."""
    top, bottom = disc[TOP] - HALF - np.float32(y0), disc[BOTTOM] - HALF - np.float32(y0)
    first, last = max(np.int64(np.ceil(top)), 0), min(np.int64(np.floor(bottom)) + 1, SIDE)
    return first * SIDE, (last - first) * SIDE


@kernel
def meeting(center, across, down, depth, dx, dy):
    """(q, depth, u, v, 1 / D, whether the plane is hit) of a ray and a disc; else the screen filter counts (eq. 11).

    U, V and D are 0, 0 and `center` at the projected mean plus `across` times `dx` plus `down` times `dy`; `depth` is
    that of the mean and its slopes along u and v.
    """
    inverse = ONE / (center + across[2] * dx + down[2] * dy)
    u, v = (across[0] * dx + down[0] * dy) * inverse, (across[1] * dx + down[1] * dy) * inverse
    met, filtered, z = u * u + v * v, TWO * (dx * dx + dy * dy), depth[0] + depth[1] * u + depth[2] * v
    met = met if z > NEAR else FAR
    hit = met <= filtered
    return min(min(met, filtered), DARK), z if hit else depth[0], u, v, inverse, hit


@parallel_kernel
def composite_discs(width, height, columns, starts, splats, discs, features, color, further, transmittance, depths):
    """Fill `color` [H,W,3] and `further` [H,W,F-3], the blended `features` [N,F], and `transmittance` [H,W].

    Where it is not None, also `depths` [H,W,4]: see TOTAL to MEDIAN.
    """
    tiles, channels = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        widest_vectors()
        room = np.empty(COLORS + channels * PIXELS, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and is_full(room):
                    break
                splat = splats[place]
                disc = discs[splat]
                center, opacity = disc[D0], disc[OPACITY]
                across, down = (disc[UX], disc[VX], disc[DX]), (disc[UY], disc[VY], disc[DY])
                depth = disc[Z], disc[ZU], disc[ZV]
                feature = features[splat]
                red, green, blue = feature[0], feature[1], feature[2]
                left, top = np.float32(x0) + HALF - disc[X], np.float32(y0) + HALF - disc[Y]
                begun, count = disc_pixels(disc, y0)
                part = room[begun:]
                for k in range(count):
                    dx, dy = left + part[COLUMN + k], top + part[ROW + k]
                    q, z = meeting(center, across, down, depth, dx, dy)[:2]
                    _, before, after, _, weight = cover(part, k, opacity * exp2(q * (-HALF * LOG2E)))
                    part[COLORS + k] += red * weight
                    part[COLORS + PIXELS + k] += green * weight
                    part[COLORS + 2 * PIXELS + k] += blue * weight
                    if depths is not None:
                        total, mean, median = part[SUM + k], part[MIDDLE + k], part[HALVES + k]
                        away, share = z - mean, weight / max(total + weight, TINY)
                        part[SUM + k] = total + weight
                        part[MIDDLE + k] = mean + away * share
                        part[SQUARES + k] += away * away * share * total
                        passed = z if after <= HALF else median
                        part[HALVES + k] = passed if before > HALF else median
                add_further(count, part, feature, COLORS)
            store(x0, y0, room, COLORS, color, further, transmittance)
            if depths is not None:
                for row in range(min(SIDE, height - y0)):
                    for k in range(min(SIDE, width - x0)):
                        for part in range(DEPTHS):
                            depths[y0 + row, x0 + k, part] = room[SUM + part * PIXELS + row * SIDE + k]
