"""Gradients of composited discs, tile by tile (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.splats.numba_composite import (
    ALONG,
    BEHIND,
    CHECK,
    HALF,
    LOG2E,
    PIXELS,
    SIDE,
    ZERO,
    alpha_slope,
    begin,
    cover,
    exp2,
    is_full,
    load_slopes,
    set_along,
    sum_columns,
    sum_further,
)
from engine.splats.numba_disc_composite import MEAN, SPREAD, TOTAL, disc_rows, meeting
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
BASE, LINE, BEND, MIDDLE, SLOPE = (part * PIXELS for part in range(5, 10))
# A column's sums over rows.
U0, U1, V0, V1, N0, N1, S0, S1, ALPHA_SUM, Z0, ZU0, ZV0, FURTHER_SUM = range(13)


@parallel_kernel
def composite_discs_backward(
    width, height, columns, starts, splats, discs, features, image, transmittance, depths,
    d_image, d_transmittance, d_depth, d_distortion, sums,
):  # fmt: skip
    """Fill `sums` [M,15+F], for each disc in each tile what `project_discs_backward` (numba_disc_project.py) adds up.

    Front to back as `composite_backward` (numba_composite.py); `d_depth` is the gradient of the sum of weight times
    depth, `d_distortion` of the distortion; both are None, as `depths`, where they were not asked for.
    """
    tiles, channels = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        room = np.empty(SLOPE + channels * PIXELS, np.float32)
        column_sums = np.empty((FURTHER_SUM + channels) * SIDE, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            load_slopes(x0, y0, image, transmittance, d_image, d_transmittance, room, SLOPE)
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
                across, opacity = (disc[UX], disc[VX], disc[DX]), disc[OPACITY]
                depth = disc[Z], disc[ZU], disc[ZV]
                feature = features[splat]
                red, green, blue = feature[0], feature[1], feature[2]
                left = np.float32(x0) + HALF - disc[X]
                first, last = disc_rows(disc, np.float32(y0))
                column_sums[:] = ZERO
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - disc[Y]
                    begun, square = (disc[UY] * dy, disc[VY] * dy, disc[D0] + disc[DY] * dy), dy * dy
                    line = room[row * SIDE :]
                    set_along(line, feature, SLOPE)
                    for k in range(SIDE):
                        q, z, u, v, inverse, hit = meeting(begun, across, depth, left + np.float32(k), square)
                        raw = opacity * exp2(q * (-HALF * LOG2E))
                        alpha, _, _, goes_on, weight = cover(line, k, raw)
                        along = red * line[SLOPE + k] + green * line[SLOPE + PIXELS + k]
                        along += blue * line[SLOPE + 2 * PIXELS + k] + line[ALONG + k]
                        u, v, inverse = (u if hit else ZERO), (v if hit else ZERO), (inverse if hit else ZERO)
                        d_z = ZERO
                        if depths is not None:
                            away = z - line[MIDDLE + k]
                            bent = away * line[BEND + k]
                            along += line[BASE + k] + away * (line[LINE + k] + bent)
                            d_z = weight * (line[LINE + k] + TWO * bent)
                            column_sums[Z0 * SIDE + k] += d_z
                            column_sums[ZU0 * SIDE + k] += d_z * u
                            column_sums[ZV0 * SIDE + k] += d_z * v
                        blended = weight * along
                        rest = line[BEHIND + k] - blended
                        line[BEHIND + k] = rest
                        slope = alpha_slope(alpha, raw, goes_on, blended, rest)
                        filter_slope = ZERO if hit else -TWO * slope
                        d_u, d_v = (d_z * depth[1] - slope * u) * inverse, (d_z * depth[2] - slope * v) * inverse
                        d_n = -(u * d_u + v * d_v)
                        column_sums[U0 * SIDE + k] += d_u
                        column_sums[U1 * SIDE + k] += d_u * dy
                        column_sums[V0 * SIDE + k] += d_v
                        column_sums[V1 * SIDE + k] += d_v * dy
                        column_sums[N0 * SIDE + k] += d_n
                        column_sums[N1 * SIDE + k] += d_n * dy
                        column_sums[S0 * SIDE + k] += filter_slope
                        column_sums[S1 * SIDE + k] += filter_slope * dy
                        column_sums[ALPHA_SUM * SIDE + k] += slope
                        column_sums[FURTHER_SUM * SIDE + k] += weight * line[SLOPE + k]
                        column_sums[(FURTHER_SUM + 1) * SIDE + k] += weight * line[SLOPE + PIXELS + k]
                        column_sums[(FURTHER_SUM + 2) * SIDE + k] += weight * line[SLOPE + 2 * PIXELS + k]
                    sum_further(line, SLOPE, column_sums, FURTHER_SUM)
                gather(left, column_sums, sums[place])


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


@kernel
def gather(left, column_sums, sums):
    """Fill `sums` [15+F] from the columns' sums, times the dx that they lack."""
    u0, ux, uy, v0, vx, vy, n0, nx, ny = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    sx, sy, z0, zu, zv, alpha = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for k in range(SIDE):
        dx = left + np.float32(k)
        u0 += column_sums[U0 * SIDE + k]
        ux += column_sums[U0 * SIDE + k] * dx
        uy += column_sums[U1 * SIDE + k]
        v0 += column_sums[V0 * SIDE + k]
        vx += column_sums[V0 * SIDE + k] * dx
        vy += column_sums[V1 * SIDE + k]
        n0 += column_sums[N0 * SIDE + k]
        nx += column_sums[N0 * SIDE + k] * dx
        ny += column_sums[N1 * SIDE + k]
        sx += column_sums[S0 * SIDE + k] * dx
        sy += column_sums[S1 * SIDE + k]
        z0 += column_sums[Z0 * SIDE + k]
        zu += column_sums[ZU0 * SIDE + k]
        zv += column_sums[ZV0 * SIDE + k]
        alpha += column_sums[ALPHA_SUM * SIDE + k]
    sums[SUM_U], sums[SUM_UX], sums[SUM_UY] = u0, ux, uy
    sums[SUM_V], sums[SUM_VX], sums[SUM_VY] = v0, vx, vy
    sums[SUM_D], sums[SUM_DX], sums[SUM_DY] = n0, nx, ny
    sums[SUM_SX], sums[SUM_SY], sums[SUM_ALPHA] = sx, sy, alpha
    sums[SUM_Z], sums[SUM_ZU], sums[SUM_ZV] = z0, zu, zv
    sum_columns(column_sums[FURTHER_SUM * SIDE :], sums[FEATURES:])
