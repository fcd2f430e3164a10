"""Gradients of composited discs, tile by tile (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel, widest_vectors
from engine.splats.numba_composite import (
    ALONG,
    BEHIND,
    CHECK,
    COLUMN,
    HALF,
    LOG2E,
    PIXELS,
    ROW,
    SIDE,
    ZERO,
    alpha_slope,
    begin,
    cover,
    exp2,
    is_full,
    load_slopes,
    set_along,
    sum_further,
)
from engine.splats.numba_disc_composite import MEAN, SPREAD, TOTAL, disc_pixels, meeting
from engine.splats.numba_disc_project import (
    D0,
    DX,
    DY,
    FEATURES,
    OPACITY,
    SUM_ALPHA,
    SUM_D,
    SUM_DX,
    SUM_DY,
    SUM_SX,
    SUM_SY,
    SUM_U,
    SUM_UX,
    SUM_UY,
    SUM_V,
    SUM_VX,
    SUM_VY,
    SUM_Z,
    SUM_ZU,
    SUM_ZV,
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
# Where a tile's room holds what. A weight's slope is BASE + LINE e + BEND e^2 for depths e from the mean MIDDLE.
BASE, LINE, BEND, MIDDLE, SLOPE = (part * PIXELS for part in range(6, 11))


@parallel_kernel
def composite_discs_backward(
    width, height, columns, starts, splats, discs, features, color, further, transmittance, depths,
    d_color, d_further, d_transmittance, d_depth, d_distortion, sums,
):  # fmt: skip
    """Fill `sums` [M,15+F], for each disc in each tile what `project_discs_backward` (numba_disc_project.py) adds up.

    Front to back as `composite_backward` (numba_composite.py); `d_depth` is the gradient of the sum of weight times
    depth, `d_distortion` of the distortion; both are None, as `depths`, where they were not asked for.
    """
    tiles, channels = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        widest_vectors()
        room = np.empty(SLOPE + channels * PIXELS, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            load_slopes(x0, y0, color, further, transmittance, d_color, d_further, d_transmittance, room, SLOPE)
            if depths is not None:
                load_depth_slopes(x0, y0, depths, d_depth, d_distortion, room)
            full = False
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and not full:
                    full = is_full(room)
                if full:
                    sums[place] = ZERO
                    continue
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
                set_along(count, part, feature, SLOPE)
                s_u, s_ux, s_uy, s_v, s_vx, s_vy = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
                s_d, s_dx, s_dy, s_sx, s_sy, s_alpha = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
                s_z, s_zu, s_zv, s_red, s_green, s_blue = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
                for k in range(count):
                    dx, dy = left + part[COLUMN + k], top + part[ROW + k]
                    q, z, u, v, inverse, hit = meeting(center, across, down, depth, dx, dy)
                    raw = opacity * exp2(q * (-HALF * LOG2E))
                    alpha, _, _, goes_on, weight = cover(part, k, raw)
                    d_red, d_green = part[SLOPE + k], part[SLOPE + PIXELS + k]
                    d_blue = part[SLOPE + 2 * PIXELS + k]
                    along = red * d_red + green * d_green + blue * d_blue + part[ALONG + k]
                    u, v, inverse = (u if hit else ZERO), (v if hit else ZERO), (inverse if hit else ZERO)
                    d_z = ZERO
                    if depths is not None:
                        away = z - part[MIDDLE + k]
                        bent = away * part[BEND + k]
                        along += part[BASE + k] + away * (part[LINE + k] + bent)
                        d_z = weight * (part[LINE + k] + TWO * bent)
                        s_z += d_z
                        s_zu += d_z * u
                        s_zv += d_z * v
                    blended = weight * along
                    rest = part[BEHIND + k] - blended
                    part[BEHIND + k] = rest
                    slope = alpha_slope(alpha, raw, goes_on, blended, rest)
                    filter_slope = ZERO if hit else -TWO * slope
                    d_u, d_v = (d_z * depth[1] - slope * u) * inverse, (d_z * depth[2] - slope * v) * inverse
                    d_d = -(u * d_u + v * d_v)
                    s_u += d_u
                    s_ux += d_u * dx
                    s_uy += d_u * dy
                    s_v += d_v
                    s_vx += d_v * dx
                    s_vy += d_v * dy
                    s_d += d_d
                    s_dx += d_d * dx
                    s_dy += d_d * dy
                    s_sx += filter_slope * dx
                    s_sy += filter_slope * dy
                    s_alpha += slope
                    s_red += weight * d_red
                    s_green += weight * d_green
                    s_blue += weight * d_blue
                there = sums[place]
                there[SUM_U], there[SUM_UX], there[SUM_UY] = s_u, s_ux, s_uy
                there[SUM_V], there[SUM_VX], there[SUM_VY] = s_v, s_vx, s_vy
                there[SUM_D], there[SUM_DX], there[SUM_DY] = s_d, s_dx, s_dy
                there[SUM_SX], there[SUM_SY], there[SUM_ALPHA] = s_sx, s_sy, s_alpha
                there[SUM_Z], there[SUM_ZU], there[SUM_ZV] = s_z, s_zu, s_zv
                there[FEATURES], there[FEATURES + 1], there[FEATURES + 2] = s_red, s_green, s_blue
                sum_further(count, part, SLOPE, there[FEATURES:])


@kernel
def load_depth_slopes(x0, y0, depths, d_depth, d_distortion, room):
    """Fill what a weight's slope has from depth, and add what lies behind the tile's first disc to BEHIND."""
    height, width, _ = depths.shape
    for row in range(min(SIDE, height - y0)):
        y = y0 + row
        for k in range(min(SIDE, width - x0)):
            x, at = x0 + k, row * SIDE + k
            total, mean, spread = depths[y, x, TOTAL], depths[y, x, MEAN], depths[y, x, SPREAD]
            room[BASE + at] = d_depth[y, x] * mean + d_distortion[y, x] * spread
            room[LINE + at] = d_depth[y, x]
            room[BEND + at] = d_distortion[y, x] * total
            room[MIDDLE + at] = mean
            room[BEHIND + at] += total * (d_depth[y, x] * mean + TWO * d_distortion[y, x] * spread)
