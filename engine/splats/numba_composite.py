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
    D_X,
    D_XX,
    D_XY,
    D_Y,
    D_YY,
    FEATURES,
    HEIGHT,
    OPACITY,
    XX,
    XY,
    YY,
    X,
    Y,
)

CHUNKS = 64  # each takes every 64th tile, so that full and empty parts of the image are shared out
SIDE = constants.TILE
CHECK = 16  # splats between looks at whether every pixel of a tile is full
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
MOST, LEAST, STOP = np.float32(constants.ALPHA_MAX), np.float32(constants.ALPHA_MIN), np.float32(constants.STOP)
LOG2E = np.float32(1.4426950408889634)
LN2 = 0.6931471805599453
E1, E2, E3, E4, E5, E6 = (np.float32(LN2**k / f) for k, f in zip(range(1, 7), (1, 2, 6, 24, 120, 720), strict=True))
L1, L3, L5, L7 = (np.float32(2 / LN2 / k) for k in (1, 3, 5, 7))  # log2 m = sum of these times ((m-1)/(m+1))^k


@kernel
def exp2(power):
    """2 to a power of at most 0, to 2e-7; its Taylor series around the nearest whole number."""
    power = max(power, np.float32(-126))
    whole = np.float32(np.rint(power))
    part = power - whole
    value = ONE + part * (E1 + part * (E2 + part * (E3 + part * (E4 + part * (E5 + part * E6)))))
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
def begin(x0, y0, width, height, clear, open_):
    """Set a tile's transmittance to one, and as open what lies within the image."""
    for row in range(SIDE):
        for column in range(SIDE):
            clear[row * SIDE + column] = ONE
            open_[row * SIDE + column] = ONE if y0 + row < height and x0 + column < width else ZERO


@kernel
def rows_of(ellipse, y0):
    """(first, past last) row of a tile that an ellipse reaches."""
    top, bottom = ellipse[Y] - ellipse[HEIGHT] - HALF - y0, ellipse[Y] + ellipse[HEIGHT] - HALF - y0
    return max(np.int64(np.ceil(top)), 0), min(np.int64(np.floor(bottom)) + 1, SIDE)


@parallel_kernel
def composite(width, height, columns, starts, splats, ellipses, shapes, features, image, transmittance):
    """Fill `image` [H,W,F], the blended `features` [N,F], and `transmittance` [H,W] behind the last splat."""
    tiles, depth = len(starts) - 1, features.shape[1]
    for index in numba.prange(CHUNKS):
        blended = np.empty((depth, SIDE * SIDE), np.float32)
        clear, open_ = np.empty(SIDE * SIDE, np.float32), np.empty(SIDE * SIDE, np.float32)
        weight = np.empty(SIDE, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, clear, open_)
            blended[:] = ZERO
            for place in range(starts[tile], starts[tile + 1]):
                if (place - starts[tile]) % CHECK == 0 and open_.sum() == ZERO:
                    break
                splat = splats[place]
                ellipse = ellipses[splat]
                a, opacity = ellipse[XX], ellipse[OPACITY]
                left = np.float32(x0) + HALF - ellipse[X]
                first, last = rows_of(ellipse, np.float32(y0))
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - ellipse[Y]
                    b, c = np.float32(2) * ellipse[XY] * dy, ellipse[YY] * dy * dy
                    base = row * SIDE
                    for k in range(SIDE):
                        dx = left + np.float32(k)
                        q = max((a * dx + b) * dx + c, ZERO)
                        if shapes is not None:
                            q = exp2_of(log2(max(q, np.float32(1e-30))) * HALF * shapes[splat])
                        alpha = min(opacity * exp2(q * (-HALF * LOG2E)), MOST)
                        alpha = alpha * open_[base + k] if alpha >= LEAST else ZERO
                        before = clear[base + k]
                        after = before * (ONE - alpha)
                        goes_on = after >= STOP
                        weight[k] = alpha * before if goes_on else ZERO
                        clear[base + k] = after if goes_on else before
                        open_[base + k] = open_[base + k] if goes_on else ZERO
                    for feature in range(depth):
                        value = features[splat, feature]
                        for k in range(SIDE):
                            blended[feature, base + k] += value * weight[k]
            for row in range(min(SIDE, height - y0)):
                for k in range(min(SIDE, width - x0)):
                    transmittance[y0 + row, x0 + k] = clear[row * SIDE + k]
                    for feature in range(depth):
                        image[y0 + row, x0 + k, feature] = blended[feature, row * SIDE + k]


@kernel
def exp2_of(power):
    """2 to a power of either sign, at most 2^60."""
    power = min(max(power, np.float32(-126)), np.float32(60))
    whole = np.float32(np.rint(power))
    part = power - whole
    value = ONE + part * (E1 + part * (E2 + part * (E3 + part * (E4 + part * (E5 + part * E6)))))
    return value * float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


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
        slope = np.empty((depth, SIDE * SIDE), np.float32)
        d_features = np.empty((depth, SIDE), np.float32)
        clear, open_ = np.empty(SIDE * SIDE, np.float32), np.empty(SIDE * SIDE, np.float32)
        behind = np.empty(SIDE * SIDE, np.float32)
        weight, along = np.empty(SIDE, np.float32), np.empty(SIDE, np.float32)
        g0, g1, g2 = np.empty(SIDE, np.float32), np.empty(SIDE, np.float32), np.empty(SIDE, np.float32)
        d_alpha, d_shape = np.empty(SIDE, np.float32), np.empty(SIDE, np.float32)
        for tile in range(np.int64(index), tiles, CHUNKS):
            x0, y0 = (tile % columns) * SIDE, (tile // columns) * SIDE
            begin(x0, y0, width, height, clear, open_)
            behind[:] = ZERO
            slope[:] = ZERO
            for row in range(min(SIDE, height - y0)):
                for k in range(min(SIDE, width - x0)):
                    total = transmittance[y0 + row, x0 + k] * d_transmittance[y0 + row, x0 + k]
                    for feature in range(depth):
                        value = d_image[y0 + row, x0 + k, feature]
                        slope[feature, row * SIDE + k] = value
                        total += value * image[y0 + row, x0 + k, feature]
                    behind[row * SIDE + k] = total
            done = False
            for place in range(starts[tile], starts[tile + 1]):
                sums[place] = ZERO
                if (place - starts[tile]) % CHECK == 0 and open_.sum() == ZERO:
                    done = True
                if done:
                    continue
                splat = splats[place]
                ellipse = ellipses[splat]
                a, opacity = ellipse[XX], ellipse[OPACITY]
                left = np.float32(x0) + HALF - ellipse[X]
                first, last = rows_of(ellipse, np.float32(y0))
                d_features[:] = ZERO
                for k in range(SIDE):
                    g0[k], g1[k], g2[k], d_alpha[k], d_shape[k] = ZERO, ZERO, ZERO, ZERO, ZERO
                for row in range(first, last):
                    dy = np.float32(y0 + row) + HALF - ellipse[Y]
                    b, c = np.float32(2) * ellipse[XY] * dy, ellipse[YY] * dy * dy
                    base = row * SIDE
                    for k in range(SIDE):
                        along[k] = ZERO
                    for feature in range(depth):
                        value = features[splat, feature]
                        for k in range(SIDE):
                            along[k] += value * slope[feature, base + k]
                    for k in range(SIDE):
                        dx = left + np.float32(k)
                        q = max((a * dx + b) * dx + c, ZERO)
                        rate = ONE
                        if shapes is not None:
                            q = max(q, np.float32(1e-30))
                            logarithm = log2(q)
                            power = exp2_of(logarithm * HALF * shapes[splat])
                            rate = HALF * shapes[splat] * power / q
                            q = power
                        raw = opacity * exp2(q * (-HALF * LOG2E))
                        alpha = min(raw, MOST)
                        alpha = alpha * open_[base + k] if alpha >= LEAST else ZERO
                        before = clear[base + k]
                        after = before * (ONE - alpha)
                        goes_on = after >= STOP
                        clear[base + k] = after if goes_on else before
                        open_[base + k] = open_[base + k] if goes_on else ZERO
                        blending = alpha * before if goes_on else ZERO
                        weight[k] = blending
                        rest = behind[base + k] - blending * along[k]
                        behind[base + k] = rest
                        slope_alpha = blending * along[k] - alpha * rest / (ONE - alpha)  # alpha times d alpha
                        slope_alpha = slope_alpha if goes_on and raw < MOST else ZERO
                        d_alpha[k] += slope_alpha
                        g = -HALF * slope_alpha * rate
                        if shapes is not None:
                            d_shape[k] -= HALF * slope_alpha * q * logarithm
                        g0[k] += g
                        g1[k] += g * dy
                        g2[k] += g * dy * dy
                    for feature in range(depth):
                        for k in range(SIDE):
                            d_features[feature, k] += weight[k] * slope[feature, base + k]
                gather(sums[place], left, g0, g1, g2, d_alpha, d_shape, d_features)


@kernel
def gather(sums, left, g0, g1, g2, d_alpha, d_shape, d_features):
    """Add the columns' sums up, times the products of dx that they lack."""
    for k in range(SIDE):
        dx = left + np.float32(k)
        sums[D_X] += g0[k] * dx
        sums[D_Y] += g1[k]
        sums[D_XX] += g0[k] * dx * dx
        sums[D_XY] += g1[k] * dx
        sums[D_YY] += g2[k]
        sums[D_ALPHA] += d_alpha[k]
        sums[D_SHAPE] += d_shape[k] * np.float32(0.5 * LN2)
    for feature in range(len(d_features)):
        for k in range(SIDE):
            sums[FEATURES + feature] += d_features[feature, k]


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
