"""Gradients of composited discs, tile by tile (Huang et al. 2024, arXiv 2403.17888)."""

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
from engine.splats.numba_disc_composite import DARK, FAR, MEAN, SPREAD, TOTAL, disc_rows
from engine.splats.numba_disc_project import (
    D0,
    DX,
    DY,
    FEATURES,
    NEAR,
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
ALONG, BEHIND, BASE, LINE, BEND, MIDDLE, SLOPE = (part * PIXELS for part in range(3, 10))
# A column's sums over rows.
U0, U1, V0, V1, N0, N1, S0, S1, ALPHA_SUM, Z0, ZU0, ZV0, FURTHER_SUM = range(13)
FOUR = np.float32(4)


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
            load(
                x0, y0, width, height, image, transmittance, depths, d_image, d_transmittance, d_depth, d_distortion,
                room,
            )  # fmt: skip
            full = False
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and not full:
                    full = is_full(room)
                if full:
                    sums[place] = ZERO
                    continue
                splat = splats[place]
                disc = discs[splat]
                ux, vx, nx, opacity = disc[UX], disc[VX], disc[DX], disc[OPACITY]
                z0, zu, zv = disc[Z], disc[ZU], disc[ZV]
                red, green, blue = features[splat, 0], features[splat, 1], features[splat, 2]
                left = np.float32(x0) + HALF - disc[X]
                first, last = disc_rows(disc, np.float32(y0))
                column_sums[:] = ZERO
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - disc[Y]
                    u0, v0, n0, square = disc[UY] * dy, disc[VY] * dy, disc[D0] + disc[DY] * dy, dy * dy
                    line = room[row * SIDE :]
                    for feature in range(3, channels):
                        value = features[splat, feature]
                        further = line[feature * PIXELS :]
                        for k in range(SIDE):
                            line[ALONG + k] = (ZERO if feature == 3 else line[ALONG + k]) + value * further[SLOPE + k]
                    for k in range(SIDE):
                        dx = left + np.float32(k)
                        inverse = ONE / (n0 + nx * dx)
                        u, v = (u0 + ux * dx) * inverse, (v0 + vx * dx) * inverse
                        met, filtered, z = u * u + v * v, TWO * (dx * dx + square), z0 + zu * u + zv * v
                        met = met if z > NEAR else FAR
                        hit = met <= filtered
                        q = min(min(met, filtered), DARK)
                        raw = opacity * exp2(q * (-HALF * LOG2E))
                        alpha = min(raw, MOST)
                        alpha = alpha * line[OPEN + k] if alpha >= LEAST else ZERO
                        before = line[CLEAR + k]
                        after = before * (ONE - alpha)
                        goes_on = after >= STOP
                        line[CLEAR + k] = after if goes_on else before
                        line[OPEN + k] = line[OPEN + k] if goes_on else ZERO
                        weight = alpha * before if goes_on else ZERO
                        line[WEIGHT + k] = weight
                        along = red * line[SLOPE + k] + green * line[SLOPE + PIXELS + k]
                        along += blue * line[SLOPE + 2 * PIXELS + k] + line[ALONG + k]
                        u, v, inverse = (u if hit else ZERO), (v if hit else ZERO), (inverse if hit else ZERO)
                        d_z = ZERO
                        if depths is not None:
                            away = (z if hit else z0) - line[MIDDLE + k]
                            bent = away * line[BEND + k]
                            along += line[BASE + k] + away * (line[LINE + k] + bent)
                            d_z = weight * (line[LINE + k] + TWO * bent)
                            column_sums[Z0 * SIDE + k] += d_z
                            column_sums[ZU0 * SIDE + k] += d_z * u
                            column_sums[ZV0 * SIDE + k] += d_z * v
                        blended = weight * along
                        rest = line[BEHIND + k] - blended
                        line[BEHIND + k] = rest
                        slope = blended - alpha * rest / (ONE - alpha)  # alpha times d alpha
                        slope = slope if goes_on and raw < MOST else ZERO
                        filter_slope = ZERO if hit else -TWO * slope
                        d_u, d_v = (d_z * zu - slope * u) * inverse, (d_z * zv - slope * v) * inverse
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
                    for feature in range(3, channels):
                        further, sums_here = line[feature * PIXELS :], column_sums[(FURTHER_SUM + feature) * SIDE :]
                        for k in range(SIDE):
                            sums_here[k] += line[WEIGHT + k] * further[SLOPE + k]
                gather(left, column_sums, sums[place])


@kernel
def load(
    x0, y0, width, height, image, transmittance, depths, d_image, d_transmittance, d_depth, d_distortion, room
):  # fmt: skip
    """Fill a tile's slopes, and behind its first disc the whole pixel times its slope."""
    for row in range(min(SIDE, height - y0)):
        y = y0 + row
        for k in range(min(SIDE, width - x0)):
            x, at = x0 + k, row * SIDE + k
            behind = transmittance[y, x] * d_transmittance[y, x]
            for feature in range(d_image.shape[2]):
                value = d_image[y, x, feature]
                room[SLOPE + feature * PIXELS + at] = value
                behind += value * image[y, x, feature]
            if depths is not None:
                total, mean, spread = depths[y, x, TOTAL], depths[y, x, MEAN], depths[y, x, SPREAD]
                room[BASE + at] = d_depth[y, x] * mean + d_distortion[y, x] * spread
                room[LINE + at] = d_depth[y, x]
                room[BEND + at] = d_distortion[y, x] * total
                room[MIDDLE + at] = mean
                behind += total * (d_depth[y, x] * mean + TWO * d_distortion[y, x] * spread)
            room[BEHIND + at] = behind


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
    for feature in range(len(sums) - FEATURES):
        total = ZERO
        for k in range(SIDE):
            total += column_sums[(FURTHER_SUM + feature) * SIDE + k]
        sums[FEATURES + feature] = total
