"""Ellipses to pixels and the gradients back, tile by tile: front-to-back blending (Kerbl et al. 2023, eq. 3).

The innermost loops run over a tile's pixels, row by row, without branches: they become vector instructions, and what
they sum up stays in registers.
"""

from __future__ import annotations

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel, widest_vectors
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
CLEAR, COLUMN, ROW, WEIGHT, HALVES, BLENDED = (part * PIXELS for part in range(6))
ALONG, BEHIND, SLOPE = 4 * PIXELS, 5 * PIXELS, 6 * PIXELS
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
    """Set a tile's transmittance to one, negative where a pixel takes no splats, its pixels' places, the rest to 0."""
    room[:] = ZERO
    for row in range(SIDE):
        for column in range(SIDE):
            pixel = row * SIDE + column
            room[CLEAR + pixel] = ONE if y0 + row < height and x0 + column < width else -ONE
            room[COLUMN + pixel], room[ROW + pixel] = np.float32(column), np.float32(row)


@kernel
def is_full(room):
    """Whether no pixel of a tile takes any more splats."""
    total = ZERO
    for pixel in range(PIXELS):
        total += max(room[CLEAR + pixel], ZERO)
    return total == ZERO


@kernel
def rows_of(ellipse, y0):
    """(first, past last) row of a tile that an ellipse reaches."""
    top, bottom = ellipse[Y] - ellipse[HEIGHT] - HALF - y0, ellipse[Y] + ellipse[HEIGHT] - HALF - y0
    return max(np.int64(np.ceil(top)), 0), min(np.int64(np.floor(bottom)) + 1, SIDE)


@kernel
def pixels_of(ellipse, y0):
    """(first, how many) pixels of a tile lie in the rows that an ellipse reaches."""
    first, last = rows_of(ellipse, np.float32(y0))
    return first * SIDE, (last - first) * SIDE


@kernel
def placed(ellipse, x0, y0):
    """(b, c, u and v at a tile's first pixel) of an ellipse: u grows by a and b per column and row, v by c per row."""
    left, top = np.float32(x0) + HALF - ellipse[X], np.float32(y0) + HALF - ellipse[Y]
    b, c = ellipse[B], ellipse[C]
    return b, c, ellipse[A] * left + b * top, c * top


@kernel
def cover(part, k, raw):
    """(alpha, transmittance before and after, whether the pixel goes on, weight) of a splat at pixel `k`.

    `raw` is alpha before it is clamped. Where too little would come through, the splat is left out and the pixel takes
    no more: its transmittance becomes negative, and so does what comes after.
    """
    alpha = min(raw, MOST)
    alpha = alpha if alpha >= LEAST else ZERO
    before = part[CLEAR + k]
    after = before * (ONE - alpha)
    goes_on = after >= STOP
    weight = alpha * before if goes_on else ZERO
    part[CLEAR + k] = after if goes_on else -abs(before)
    part[WEIGHT + k] = weight
    return alpha, before, after, goes_on, weight


@kernel
def add_further(count, part, features, blended):
    """Add a splat's channels from the fourth on to those of `count` pixels, which start at `blended`."""
    for feature in range(3, len(features)):
        value = features[feature]
        if value != ZERO:
            further = part[blended + feature * PIXELS :]
            for k in range(count):
                further[k] += value * part[WEIGHT + k]


@kernel
def store(x0, y0, room, blended, color, further, transmittance):
    """Write a tile's pixels."""
    height, width, channels = further.shape
    for row in range(min(SIDE, height - y0)):
        for k in range(min(SIDE, width - x0)):
            part = room[row * SIDE + k :]
            transmittance[y0 + row, x0 + k] = abs(part[CLEAR])
            for feature in range(3):
                color[y0 + row, x0 + k, feature] = part[blended + feature * PIXELS]
            for feature in range(channels):
                further[y0 + row, x0 + k, feature] = part[blended + (3 + feature) * PIXELS]


@parallel_kernel
def composite(
    width, height, columns, starts, splats, ellipses, shapes, features,
    color, further, transmittance, distances, median,
):  # fmt: skip
    """Fill `color` [H,W,3] and `further` [H,W,F-3], the blended `features` [N,F], and `transmittance` [H,W] behind all.

    Where it is not None, also `median` [H,W], of `distances` [N] that at which transmittance falls to a half, else 0.
    """
    tiles, depth = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        widest_vectors()
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
                b, c, u0, v0 = placed(ellipse, x0, y0)
                first, count = pixels_of(ellipse, y0)
                part = room[first:]
                for k in range(count):
                    u = u0 + a * part[COLUMN + k] + b * part[ROW + k]
                    v = v0 + c * part[ROW + k]
                    q = u * u + v * v
                    if shapes is not None:
                        q = exp2_of(log2(max(q, np.float32(1e-30))) * shape)
                    _, before, after, _, weight = cover(part, k, opacity * exp2(q * (-HALF * LOG2E)))
                    part[BLENDED + k] += red * weight
                    part[BLENDED + PIXELS + k] += green * weight
                    part[BLENDED + 2 * PIXELS + k] += blue * weight
                    if median is not None:
                        passed = part[HALVES + k]
                        fallen = distance if after <= HALF else passed
                        part[HALVES + k] = fallen if before > HALF else passed
                add_further(count, part, feature, BLENDED)
            store(x0, y0, room, BLENDED, color, further, transmittance)
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
def set_along(count, part, features, slope):
    """Fill ALONG of `count` pixels with the product of a splat's channels from the fourth on and their slopes."""
    for feature in range(3, len(features)):
        value, further = features[feature], part[slope + feature * PIXELS :]
        if feature == 3:
            for k in range(count):
                part[ALONG + k] = value * further[k]
        elif value != ZERO:
            for k in range(count):
                part[ALONG + k] += value * further[k]


@kernel
def alpha_slope(alpha, raw, goes_on, blended, rest):
    """Alpha times its gradient; `blended` is the splat's product with the slope, `rest` that of all behind it."""
    slope = blended - alpha * rest / (ONE - alpha)
    return slope if goes_on and raw < MOST else ZERO


@kernel
def sum_further(count, part, slope, sums):
    """Fill `sums` [F] from the fourth on with those of weight times slope over `count` pixels."""
    for feature in range(3, len(sums)):
        further, total = part[slope + feature * PIXELS :], ZERO
        for k in range(count):
            total += part[WEIGHT + k] * further[k]
        sums[feature] = total


@parallel_kernel
def composite_backward(
    width, height, columns, starts, splats, ellipses, shapes, features, color, further, transmittance,
    d_color, d_further, d_transmittance, sums,
):  # fmt: skip
    """Fill `sums` [M,7+F], for each splat in each tile what `project_backward` (numba_project.py) adds up.

    Walks front to back once more: what lies behind a splat is the final colour less what has been blended so far.
    """
    tiles, depth = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        widest_vectors()
        room = np.empty(SLOPE + depth * PIXELS, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, room)
            load_slopes(x0, y0, color, further, transmittance, d_color, d_further, d_transmittance, room, SLOPE)
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
                b, c, u0, v0 = placed(ellipse, x0, y0)
                first, count = pixels_of(ellipse, y0)
                part = room[first:]
                set_along(count, part, feature, SLOPE)
                s_u, s_v, s_uu, s_uv, s_vv, s_alpha, s_shape = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
                s_red, s_green, s_blue = ZERO, ZERO, ZERO
                for k in range(count):
                    u = u0 + a * part[COLUMN + k] + b * part[ROW + k]
                    v = v0 + c * part[ROW + k]
                    q = u * u + v * v
                    rate, logarithm = ONE, ZERO
                    if shapes is not None:
                        q = max(q, np.float32(1e-30))
                        logarithm = log2(q)
                        power = exp2_of(logarithm * shape)
                        rate = shape * power / q
                        q = power
                    raw = opacity * exp2(q * (-HALF * LOG2E))
                    alpha, _, _, goes_on, weight = cover(part, k, raw)
                    d_red, d_green = part[SLOPE + k], part[SLOPE + PIXELS + k]
                    d_blue = part[SLOPE + 2 * PIXELS + k]
                    blended = weight * (red * d_red + green * d_green + blue * d_blue + part[ALONG + k])
                    rest = part[BEHIND + k] - blended
                    part[BEHIND + k] = rest
                    slope = alpha_slope(alpha, raw, goes_on, blended, rest)
                    g_u, g_v = slope * rate * u, slope * rate * v
                    s_u += g_u
                    s_v += g_v
                    s_uu += g_u * u
                    s_uv += g_u * v
                    s_vv += g_v * v
                    s_alpha += slope
                    if shapes is not None:
                        s_shape += slope * q * logarithm
                    s_red += weight * d_red
                    s_green += weight * d_green
                    s_blue += weight * d_blue
                there = sums[place]
                there[D_U], there[D_V] = -HALF * s_u, -HALF * s_v
                there[D_UU], there[D_UV], there[D_VV] = -HALF * s_uu, -HALF * s_uv, -HALF * s_vv
                there[D_ALPHA], there[D_SHAPE] = s_alpha, s_shape * np.float32(-0.25 * LN2)
                there[FEATURES], there[FEATURES + 1], there[FEATURES + 2] = s_red, s_green, s_blue
                sum_further(count, part, SLOPE, there[FEATURES:])


@kernel
def load_slopes(x0, y0, color, further, transmittance, d_color, d_further, d_transmittance, room, slope):
    """Fill a tile's slopes, from `slope` on, and behind its first splat the whole pixel times its slope."""
    height, width, channels = further.shape
    for row in range(min(SIDE, height - y0)):
        for k in range(min(SIDE, width - x0)):
            y, x, part = y0 + row, x0 + k, room[row * SIDE + k :]
            total = transmittance[y, x] * d_transmittance[y, x]
            for feature in range(3):
                value = d_color[y, x, feature]
                part[slope + feature * PIXELS] = value
                total += value * color[y, x, feature]
            for feature in range(channels):
                value = d_further[y, x, feature]
                part[slope + (3 + feature) * PIXELS] = value
                total += value * further[y, x, feature]
            part[BEHIND] = total


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
