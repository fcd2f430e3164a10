"""Ellipses to pixels and the gradients back, tile by tile: front-to-back blending (Kerbl et al. 2023, eq. 3).

The innermost loops run over the 16 columns of a tile without branches, so that they become vector instructions.
"""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.kernels.sort import bits_of_float, float_of_bits
from engine.splats import constants
from engine.splats.numba_project import (
    D_ALPHA,
    D_SHAPE,
    D_U,
    D_UU,
    D_UV,
    D_V,
    D_VV,
    FEATURES,
    HEIGHT,
    OPACITY,
    A,
    B,
    C,
    X,
    Y,
)

CHUNKS = 64  # each takes every 64th tile, so that full and empty parts of the image are shared out
SIDE = constants.TILE
PIXELS = SIDE * SIDE
# Where a tile's room holds what; one array for all, so that the compiler sees that nothing overlaps.
CLEAR, OPEN, WEIGHT, HALVES, BLENDED = (part * PIXELS for part in range(5))
ALONG, BEHIND, SLOPE = 3 * PIXELS, 4 * PIXELS, 5 * PIXELS
G0, G1, G2, GUU, ALPHA_SUM, SHAPE_SUM, FURTHER_SUM = range(7)  # a column's sums over rows: d q times 1, dy, dy^2, u^2..
CHECK = 16  # splats between looks at whether every pixel of a tile is full
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
MOST, LEAST, STOP = np.float32(constants.ALPHA_MAX), np.float32(constants.ALPHA_MIN), np.float32(constants.STOP)
LEAST_POWER = np.float32(-40)  # of two: far below any alpha that counts, and far above the slow denormal numbers
LOG2E = np.float32(1.4426950408889634)
LN2 = 0.6931471805599453
# 2^x - 1 for |x| <= 1/2: the sum of these times x^k, of all such the one whose largest relative error is least, 9e-8
E1, E2, E3, E4, E5 = (np.float32(e) for e in (0.69314698, 0.24022242, 0.05550734, 0.00967151, 0.00132647))
L1, L3, L5, L7 = (np.float32(2 / LN2 / k) for k in (1, 3, 5, 7))  # log2 m = sum of these times ((m-1)/(m+1))^k


@kernel
def exp2(power):
    """2 to a power of at most 0, to 2e-7; of powers under LEAST_POWER, of that."""
    power = max(power, LEAST_POWER)
    whole = np.float32(np.rint(power))
    part = power - whole
    value = ONE + part * (E1 + part * (E2 + part * (E3 + part * (E4 + part * E5))))
    return value * float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


@kernel
def log2(value):
    """The binary logarithm of a positive normal number, to 2e-7."""
    bits = bits_of_float(value) - np.int32(0x3F3504F3)  # the bits of the root of a half
    exponent = bits >> np.int32(23)
    mantissa = float_of_bits((bits & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3))
    ratio = (mantissa - ONE) / (mantissa + ONE)
    square = ratio * ratio
    return np.float32(exponent) + ratio * (L1 + square * (L3 + square * (L5 + square * L7)))


@kernel
def begin(x0, y0, width, height, room):
    """Set a tile's transmittance to one, as open what lies within the image, and the rest of `room` to zero."""
    room[:] = ZERO
    for row in range(SIDE):
        for column in range(SIDE):
            room[CLEAR + row * SIDE + column] = ONE
            room[OPEN + row * SIDE + column] = ONE if y0 + row < height and x0 + column < width else ZERO


@kernel
def is_full(room):
    """Whether no pixel of a tile takes any more splats."""
    total = ZERO
    for pixel in range(PIXELS):
        total += room[OPEN + pixel]
    return total == ZERO


@kernel
def rows_of(ellipse, y0):
    """(first, past last) row of a tile that an ellipse reaches."""
    top, bottom = ellipse[Y] - ellipse[HEIGHT] - HALF - y0, ellipse[Y] + ellipse[HEIGHT] - HALF - y0
    return max(np.int64(np.ceil(top)), 0), min(np.int64(np.floor(bottom)) + 1, SIDE)


@kernel
def cover(line, k, raw):
    """(alpha, transmittance before and after, whether the pixel goes on, weight) of a splat at pixel `k` of a row.

    `raw` is alpha before it is clamped. Where too little would come through, the splat is left out and the pixel takes
    no more.
    """
    alpha = min(raw, MOST)
    alpha = alpha * line[OPEN + k] if alpha >= LEAST else ZERO
    before = line[CLEAR + k]
    after = before * (ONE - alpha)
    goes_on = after >= STOP
    weight = alpha * before if goes_on else ZERO
    line[CLEAR + k] = after if goes_on else before
    line[OPEN + k] = line[OPEN + k] if goes_on else ZERO
    line[WEIGHT + k] = weight
    return alpha, before, after, goes_on, weight


@kernel
def add_further(line, features, blended):
    """Add a splat's channels from the fourth on to those of a row of pixels, the first of which starts at `blended`."""
    for feature in range(3, len(features)):
        value = features[feature]
        further = line[feature * PIXELS :]
        for k in range(SIDE):
            further[blended + k] += value * line[WEIGHT + k]


@kernel
def store(x0, y0, room, blended, image, transmittance):
    """Write a tile's pixels."""
    height, width, channels = image.shape
    for row in range(min(SIDE, height - y0)):
        for k in range(min(SIDE, width - x0)):
            transmittance[y0 + row, x0 + k] = room[CLEAR + row * SIDE + k]
            for feature in range(channels):
                image[y0 + row, x0 + k, feature] = room[blended + feature * PIXELS + row * SIDE + k]


@parallel_kernel
def composite(
    width, height, columns, starts, splats, ellipses, shapes, features, image, transmittance, distances, median,
):  # fmt: skip
    """Fill `image` [H,W,F], the blended `features` [N,F], and `transmittance` [H,W] behind the last splat.

    Where it is not None, also `median` [H,W], of `distances` [N] that at which transmittance falls to a half, else 0.
    """
    tiles, depth = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        room = np.empty(BLENDED + depth * PIXELS, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and is_full(room):
                    break
                splat = splats[place]
                ellipse = ellipses[splat]
                a, opacity, distance = ellipse[A], ellipse[OPACITY], distances[splat]
                feature = features[splat]
                red, green, blue = feature[0], feature[1], feature[2]
                shape = ONE
                if shapes is not None:
                    shape = HALF * shapes[splat]
                left = np.float32(x0) + HALF - ellipse[X]
                first, last = rows_of(ellipse, np.float32(y0))
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - ellipse[Y]
                    b, c = ellipse[B] * dy, (ellipse[C] * dy) ** 2
                    line = room[row * SIDE :]
                    for k in range(SIDE):
                        u = a * (left + np.float32(k)) + b
                        q = u * u + c
                        if shapes is not None:
                            q = exp2_of(log2(max(q, np.float32(1e-30))) * shape)
                        _, before, after, _, weight = cover(line, k, opacity * exp2(q * (-HALF * LOG2E)))
                        line[BLENDED + k] += red * weight
                        line[BLENDED + PIXELS + k] += green * weight
                        line[BLENDED + 2 * PIXELS + k] += blue * weight
                        if median is not None:
                            passed = line[HALVES + k]
                            fallen = distance if after <= HALF else passed
                            line[HALVES + k] = fallen if before > HALF else passed
                    add_further(line, feature, BLENDED)
            store(x0, y0, room, BLENDED, image, transmittance)
            if median is not None:
                for row in range(min(SIDE, height - y0)):
                    for k in range(min(SIDE, width - x0)):
                        median[y0 + row, x0 + k] = room[HALVES + row * SIDE + k]


@kernel
def exp2_of(power):
    """2 to a power of either sign, at most 2^60."""
    power = min(max(power, np.float32(-126)), np.float32(60))
    whole = np.float32(np.rint(power))
    part = power - whole
    value = ONE + part * (E1 + part * (E2 + part * (E3 + part * (E4 + part * E5))))
    return value * float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


@kernel
def set_along(line, features, slope):
    """Fill a row's ALONG with the product of a splat's channels from the fourth on and their slopes."""
    for feature in range(3, len(features)):
        value = features[feature]
        further = line[feature * PIXELS :]
        for k in range(SIDE):
            line[ALONG + k] = (ZERO if feature == 3 else line[ALONG + k]) + value * further[slope + k]


@kernel
def alpha_slope(alpha, raw, goes_on, blended, rest):
    """Alpha times its gradient; `blended` is the splat's product with the slope, `rest` that of all behind it."""
    slope = blended - alpha * rest / (ONE - alpha)
    return slope if goes_on and raw < MOST else ZERO


@kernel
def sum_further(line, slope, column_sums, first):
    """Add weight times slope of a row to the columns' sums of channels, which start at `first`, from the fourth on."""
    for feature in range(3, len(column_sums) // SIDE - first):
        further, sums_here = line[feature * PIXELS :], column_sums[(first + feature) * SIDE :]
        for k in range(SIDE):
            sums_here[k] += line[WEIGHT + k] * further[slope + k]


@kernel
def sum_columns(column_sums, sums):
    """Fill `sums` with those of every SIDE of `column_sums`."""
    for part in range(len(sums)):
        total = ZERO
        for k in range(SIDE):
            total += column_sums[part * SIDE + k]
        sums[part] = total


@parallel_kernel
def composite_backward(
    width, height, columns, starts, splats, ellipses, shapes, features, image, transmittance,
    d_image, d_transmittance, sums,
):  # fmt: skip
    """Fill `sums` [M,7+F], for each splat in each tile what `project_backward` (numba_project.py) adds up.

    Walks front to back once more: what lies behind a splat is the final colour less what has been blended so far.
    """
    tiles, depth = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        room = np.empty(SLOPE + depth * PIXELS, np.float32)
        column_sums = np.empty((FURTHER_SUM + depth) * SIDE, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            load_slopes(x0, y0, image, transmittance, d_image, d_transmittance, room, SLOPE)
            full = False
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and not full:
                    full = is_full(room)
                if full:
                    sums[place] = ZERO
                    continue
                splat = splats[place]
                ellipse = ellipses[splat]
                a, opacity = ellipse[A], ellipse[OPACITY]
                feature = features[splat]
                red, green, blue = feature[0], feature[1], feature[2]
                shape = ONE
                if shapes is not None:
                    shape = HALF * shapes[splat]
                left = np.float32(x0) + HALF - ellipse[X]
                first, last = rows_of(ellipse, np.float32(y0))
                column_sums[:] = ZERO
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - ellipse[Y]
                    b, c = ellipse[B] * dy, (ellipse[C] * dy) ** 2
                    line = room[row * SIDE :]
                    set_along(line, feature, SLOPE)
                    for k in range(SIDE):
                        u = a * (left + np.float32(k)) + b
                        q = u * u + c
                        rate, logarithm = ONE, ZERO
                        if shapes is not None:
                            q = max(q, np.float32(1e-30))
                            logarithm = log2(q)
                            power = exp2_of(logarithm * shape)
                            rate = shape * power / q
                            q = power
                        raw = opacity * exp2(q * (-HALF * LOG2E))
                        alpha, _, _, goes_on, weight = cover(line, k, raw)
                        along = red * line[SLOPE + k] + green * line[SLOPE + PIXELS + k]
                        along += blue * line[SLOPE + 2 * PIXELS + k] + line[ALONG + k]
                        blended = weight * along
                        rest = line[BEHIND + k] - blended
                        line[BEHIND + k] = rest
                        slope = alpha_slope(alpha, raw, goes_on, blended, rest)
                        g = -HALF * slope * rate
                        column_sums[G0 * SIDE + k] += g
                        column_sums[G1 * SIDE + k] += g * dy
                        column_sums[G2 * SIDE + k] += g * dy * dy
                        column_sums[GUU * SIDE + k] += g * u * u
                        column_sums[ALPHA_SUM * SIDE + k] += slope
                        if shapes is not None:
                            column_sums[SHAPE_SUM * SIDE + k] -= HALF * slope * q * logarithm
                        column_sums[FURTHER_SUM * SIDE + k] += weight * line[SLOPE + k]
                        column_sums[(FURTHER_SUM + 1) * SIDE + k] += weight * line[SLOPE + PIXELS + k]
                        column_sums[(FURTHER_SUM + 2) * SIDE + k] += weight * line[SLOPE + 2 * PIXELS + k]
                    sum_further(line, SLOPE, column_sums, FURTHER_SUM)
                gather(left, ellipse, column_sums, sums[place])


@kernel
def load_slopes(x0, y0, image, transmittance, d_image, d_transmittance, room, slope):
    """Fill a tile's slopes, from `slope` on, and behind its first splat the whole pixel times its slope."""
    height, width, channels = image.shape
    for row in range(min(SIDE, height - y0)):
        for k in range(min(SIDE, width - x0)):
            total = transmittance[y0 + row, x0 + k] * d_transmittance[y0 + row, x0 + k]
            for feature in range(channels):
                value = d_image[y0 + row, x0 + k, feature]
                room[slope + feature * PIXELS + row * SIDE + k] = value
                total += value * image[y0 + row, x0 + k, feature]
            room[BEHIND + row * SIDE + k] = total


@kernel
def gather(left, ellipse, column_sums, sums):
    """Fill `sums` [7+F] from the columns' sums, times the products of dx that they lack."""
    a, b, c = ellipse[A], ellipse[B], ellipse[C]
    s0u, s1, s1u, s2, suu, s_alpha, s_shape = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for k in range(SIDE):
        along, g1 = a * (left + np.float32(k)), column_sums[G1 * SIDE + k]
        s0u += along * column_sums[G0 * SIDE + k]
        s1 += g1
        s1u += along * g1
        s2 += column_sums[G2 * SIDE + k]
        suu += column_sums[GUU * SIDE + k]
        s_alpha += column_sums[ALPHA_SUM * SIDE + k]
        s_shape += column_sums[SHAPE_SUM * SIDE + k]
    sums[D_U], sums[D_V] = s0u + b * s1, c * s1
    sums[D_UU], sums[D_UV], sums[D_VV] = suu, c * (s1u + b * s2), c * c * s2
    sums[D_ALPHA], sums[D_SHAPE] = s_alpha, s_shape * np.float32(0.5 * LN2)
    sum_columns(column_sums[FURTHER_SUM * SIDE :], sums[FEATURES:])


@parallel_kernel
def sum_places(order, slots, places, sums, totals):
    """Fill `totals` [N,7+F], zeroed before, with each splat's `sums` in its tiles, in order."""
    seen = len(order)
    step = (seen + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        for rank in range(chunk * step, min((chunk + 1) * step, seen)):
            splat = order[rank]
            for slot in range(slots[rank], slots[rank + 1]):
                place = places[slot]
                if place >= 0:
                    for k in range(totals.shape[1]):
                        totals[splat, k] += sums[place, k]
