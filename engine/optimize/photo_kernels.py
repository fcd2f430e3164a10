"""Kernels of the photo loss: log encoding, Gaussian windows, SSIM with its gradient, row by row.

Images are rows of interleaved channels, so that a window along x steps by CHANNELS and every loop runs over one
contiguous row. Every row has its own sum; nothing depends on how rows are shared among threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

CHANNELS = 3
RADIUS = 5  # pixels; the window is 11 pixels wide
SIGMA = 1.5
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)  # of SSIM, for values in [0,1]

_GAUSSIAN = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
W0, W1, W2, W3, W4, W5 = (np.float32(w) for w in (_GAUSSIAN / _GAUSSIAN.sum())[: RADIUS + 1])

SQRT_HALF = np.float32(0.70710678118654752)
MANTISSA, ONE_BITS = 0x007FFFFF, 0x3F800000
LN2 = np.float32(0.69314718055994531)
INVERSE_LN2 = np.float32(1.44269504088896341)


@kernel
def _log(x):
    """Natural logarithm of a normal positive float32, to an ulp or two, without branches (Cephes `logf`)."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits >> 23) - np.int32(127))
    mantissa = np.int32((bits & MANTISSA) | ONE_BITS).view(np.float32)  # [1,2)
    high = mantissa > np.float32(1.41421356237309505)
    f = (mantissa * np.float32(0.5) if high else mantissa) - np.float32(1.0)
    e = np.float32(exponent) + (np.float32(1.0) if high else np.float32(0.0))
    z = f * f
    y = np.float32(7.0376836292e-2)
    y = y * f - np.float32(1.1514610310e-1)
    y = y * f + np.float32(1.1676998740e-1)
    y = y * f - np.float32(1.2420140846e-1)
    y = y * f + np.float32(1.4249322787e-1)
    y = y * f - np.float32(1.6668057665e-1)
    y = y * f + np.float32(2.0000714765e-1)
    y = y * f - np.float32(2.4999993993e-1)
    y = y * f + np.float32(3.3333331174e-1)
    return f + (y * f * z - np.float32(0.5) * z) + e * LN2


@kernel
def _exp2(x):
    """2**x of float32 in [-100,100], to an ulp or two, without branches (Cephes `exp2f`)."""
    whole = np.int32(np.floor(x + np.float32(0.5)))
    f = x - np.float32(whole)
    y = np.float32(1.535336188319500e-4)
    y = y * f + np.float32(1.339887440266574e-3)
    y = y * f + np.float32(9.618437357674640e-3)
    y = y * f + np.float32(5.550332471162809e-2)
    y = y * f + np.float32(2.402264791363012e-1)
    y = y * f + np.float32(6.931472028550421e-1)
    y = y * f + np.float32(1.0)
    return y * np.int32((whole + np.int32(127)) << 23).view(np.float32)


@kernel
def _encode(x):
    """(log_tonemap(x), its derivative), as `engine.shading.tone.log_tonemap`; not finite where x is not."""
    positive = x if x > np.float32(0.0) else np.float32(0.0)
    small = positive < np.float32(0.01)
    series = positive * (
        np.float32(1.0)
        - positive * (np.float32(0.5) - positive * (np.float32(1.0 / 3.0) - positive * np.float32(0.25)))
    )
    grown = np.float32(1.0) + positive
    logarithm = series if small else _log(grown)
    linear = logarithm <= np.float32(0.0031308)
    base = np.float32(0.0031308) if linear else logarithm
    root = _exp2(_log(base) * np.float32(INVERSE_LN2 / 2.4))
    value = np.float32(12.92) * logarithm if linear else np.float32(1.055) * root - np.float32(0.055)
    slope = np.float32(12.92) if linear else np.float32(1.055 / 2.4) * root / base
    rising = np.float32(1.0) if x >= np.float32(0.0) else np.float32(0.0)
    return value + x * np.float32(0.0), slope * rising / grown


@kernel
def _slid(row, count, step, out):
    """out[j] = the window over row[j], row[j + step], ..., of `row` with at least count + 10 * step entries."""
    for j in range(count):
        out[j] = (
            W0 * (row[j] + row[j + 10 * step])
            + W1 * (row[j + step] + row[j + 9 * step])
            + W2 * (row[j + 2 * step] + row[j + 8 * step])
            + (W3 * (row[j + 3 * step] + row[j + 7 * step]) + W4 * (row[j + 4 * step] + row[j + 6 * step]))
            + W5 * row[j + 5 * step]
        )


@kernel
def _stacked(rows, y, count, out):
    """out[j] = the window over rows[y, j] to rows[y + 10, j]."""
    for j in range(count):
        out[j] = (
            W0 * (rows[y, j] + rows[y + 10, j])
            + W1 * (rows[y + 1, j] + rows[y + 9, j])
            + W2 * (rows[y + 2, j] + rows[y + 8, j])
            + (W3 * (rows[y + 3, j] + rows[y + 7, j]) + W4 * (rows[y + 4, j] + rows[y + 6, j]))
            + W5 * rows[y + 5, j]
        )


@parallel_kernel
def encode_image(image, target, windows, encoded, slope, value, square, product):
    """Log-encode image [H,W,4] into encoded [H,3W] and its derivative into slope [H,3W].

    With `windows`, value, square and product [H,3(W-10)] become the windows along x of a, a*a and a*b, where a is the
    encoded image and b = target [H,3W].
    """
    height, width = image.shape[0], image.shape[1]
    count = CHANNELS * width
    inner = count - 2 * RADIUS * CHANNELS
    for y_ in prange(height):
        y = np.int64(y_)
        row, gradient = encoded[y], slope[y]
        for x in range(width):
            for c in range(CHANNELS):
                row[CHANNELS * x + c] = image[y, x, c]
        for j in range(count):
            row[j], gradient[j] = _encode(row[j])
        if windows:
            _windows_along(row, target[y], inner, value[y], square[y], product[y])


@kernel
def _windows_along(row, other, inner, value, square, product):
    products = np.empty(len(row), np.float32)
    _slid(row, inner, CHANNELS, value)
    for j in range(len(row)):
        products[j] = row[j] * row[j]
    _slid(products, inner, CHANNELS, square)
    for j in range(len(row)):
        products[j] = row[j] * other[j]
    _slid(products, inner, CHANNELS, product)


@parallel_kernel
def window_image(encoded, target, value, square, product):
    """Fill value, square and product as `encode_image` does, of an image [H,3W] that is encoded already."""
    inner = encoded.shape[1] - 2 * RADIUS * CHANNELS
    for y_ in prange(len(encoded)):
        y = np.int64(y_)
        _windows_along(encoded[y], target[y], inner, value[y], square[y], product[y])


@parallel_kernel
def compare_windows(value, square, product, target_mean, target_square, scale, sums, to_mean, to_square, to_product):
    """SSIM of whole windows, along x already windowed: sums [H-10] of 1 - SSIM per row of windows.

    The gradients of -scale * SSIM to mean, mean square and mean product go through the transposed window along x to
    rows 10 to H-1 of to_mean, to_square and to_product [H+10,3W], whose other rows become zero.
    """
    rows, inner = target_mean.shape
    count = to_mean.shape[1]
    edge = 2 * RADIUS * CHANNELS
    for y_ in prange(rows + 4 * RADIUS):
        y = np.int64(y_) - 2 * RADIUS
        if y < 0 or y >= rows:
            to_mean[y + 2 * RADIUS] = np.float32(0.0)
            to_square[y + 2 * RADIUS] = np.float32(0.0)
            to_product[y + 2 * RADIUS] = np.float32(0.0)
            continue
        mean, other = np.zeros(count + edge, np.float32), np.zeros(count + edge, np.float32)
        cross = np.zeros(count + edge, np.float32)
        a, aa, ab = mean[edge:], other[edge:], cross[edge:]
        _stacked(value, y, inner, a)
        _stacked(square, y, inner, aa)
        _stacked(product, y, inner, ab)
        total = 0.0
        for j in range(inner):
            ma, mb = a[j], target_mean[y, j]
            both = ma * mb
            means = ma * ma + mb * mb
            a1, a2 = np.float32(2.0) * both + C1, np.float32(2.0) * (ab[j] - both) + C2
            b1, b2 = means + C1, aa[j] + target_square[y, j] - means + C2
            inverse = np.float32(1.0) / (b1 * b2)
            similarity = a1 * a2 * inverse
            total += np.float64(np.float32(1.0) - similarity)
            a[j] = -np.float32(2.0) * scale * (mb * (a2 - a1) * inverse + similarity * ma * (b1 - b2) * inverse)
            aa[j] = scale * similarity * b1 * inverse
            ab[j] = -np.float32(2.0) * scale * a1 * inverse
        sums[y] = total
        _slid(mean, count, CHANNELS, to_mean[y + 2 * RADIUS])
        _slid(other, count, CHANNELS, to_square[y + 2 * RADIUS])
        _slid(cross, count, CHANNELS, to_product[y + 2 * RADIUS])


@parallel_kernel
def compare_pixels(
    drawn, encoded, slope, target, alpha, windows, to_mean, to_square, to_product, scales, sums, d_color, d_drawn
):
    """sums [H,2] per row of the absolute difference of encoded colours and of the squared one of alpha.

    The first three channels of d_color [H,W,>=3] become the loss's gradient to colour and d_drawn [H,W] that to the
    alpha that was drawn [H,W], with scales = (of a colour difference, of a squared difference of alpha). `slope` is
    what `encode_image` left, None for an image that was encoded already.
    """
    height, width = drawn.shape
    count = CHANNELS * width
    for y_ in prange(height):
        y = np.int64(y_)
        a, b = encoded[y], target[y]
        total = np.empty(count, np.float32)
        if windows:
            square, product = np.empty(count, np.float32), np.empty(count, np.float32)
            _stacked(to_mean, y, count, total)
            _stacked(to_square, y, count, square)
            _stacked(to_product, y, count, product)
            for j in range(count):
                total[j] += np.float32(2.0) * a[j] * square[j] + b[j] * product[j]
        else:
            total[:] = np.float32(0.0)
        difference_sum, alpha_sum = 0.0, 0.0
        for j in range(count):
            difference = a[j] - b[j]
            difference_sum += np.float64(abs(difference))
            sign = np.float32(difference > 0) - np.float32(difference < 0)
            total[j] += scales[0] * sign
            if slope is not None:
                total[j] *= slope[y, j]
        for x in range(width):
            difference = drawn[y, x] - alpha[y, x]
            alpha_sum += np.float64(difference * difference)
            for c in range(CHANNELS):
                d_color[y, x, c] = total[CHANNELS * x + c]
            d_drawn[y, x] = np.float32(2.0) * scales[1] * difference
        sums[y, 0], sums[y, 1] = difference_sum, alpha_sum


@parallel_kernel
def compare_colors(color, target, error, squares):
    """Each pixel's mean absolute difference into error [H,W], each row's sum of squared ones into squares [H]."""
    height, width = error.shape
    for y_ in prange(height):
        y = np.int64(y_)
        total = np.float32(0.0)
        for x in range(width):
            sum_here = np.float32(0.0)
            for c in range(CHANNELS):
                difference = color[y, x, c] - target[y, x, c]
                sum_here += abs(difference)
                total += difference * difference
            error[y, x] = sum_here * np.float32(1 / CHANNELS)
        squares[y] = total
