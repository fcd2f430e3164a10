"""Numba kernels of the radiance volume: march rays, scatter gradients, smooth."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

CHUNKS = 4  # gradient buffers, whatever the thread count, so that sums keep their order
EMPTY = np.float32(-12.0)  # raw density of corners outside the hull
DENSITY_SCALE = np.float32(4.0)  # raw density per unit of its parameter: density learns faster than colour
OPAQUE = np.float32(1e-3)  # transmittance at which a ray ends


@kernel
def _span(origin, direction, cells):
    """(entry, exit) of a ray through the grid [0, cells]^3 in cells; exit < entry where it misses."""
    near, far = np.float32(0.0), np.float32(1e30)
    for k in range(3):
        if abs(direction[k]) < 1e-9:
            if origin[k] < 0 or origin[k] > cells:
                return np.float32(1.0), np.float32(0.0)
        else:
            a, b = -origin[k] / direction[k], (cells - origin[k]) / direction[k]
            near, far = max(near, min(a, b)), min(far, max(a, b))
    return np.float32(near), np.float32(far)


@kernel
def _corners(slot, x, y, z, cells, index, weight):
    """Fill the eight corners' rows and trilinear weights at a point in cells; False where no corner is active."""
    i, j, k = min(int(x), cells - 1), min(int(y), cells - 1), min(int(z), cells - 1)
    fx, fy, fz = x - i, y - j, z - k
    any_active = False
    for corner in range(8):
        a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
        row = slot[i + a, j + b, k + c]
        index[corner] = row
        weight[corner] = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if c else 1 - fz)
        any_active |= row >= 0
    return any_active


@kernel
def _sample(values, index, weight, out):
    """Interpolated raw values [4] (density, colour); inactive corners are empty and colourless."""
    d, r, g, b = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for corner in range(8):
        row, w = index[corner], weight[corner]
        if row >= 0:
            d += w * DENSITY_SCALE * values[row, 0]
            r += w * values[row, 1]
            g += w * values[row, 2]
            b += w * values[row, 3]
        else:
            d += w * EMPTY
    out[0], out[1], out[2], out[3] = d, r, g, b


@kernel
def _sigmoid(x):
    return np.float32(1.0) / (np.float32(1.0) + np.exp(-x))


@kernel
def _softplus(x):
    return x if x > 15 else np.log1p(np.exp(x))


@parallel_kernel
def march(values, slot, origins, directions, jitter, step, image, depth):
    """Colour and transmittance [P,4] and median depth [P] (cells along the ray, inf where none) of P rays."""
    cells = slot.shape[0] - 1
    for ray_ in prange(origins.shape[0]):
        ray = np.int64(ray_)
        index, weight, raw = np.empty(8, np.int64), np.empty(8, np.float32), np.empty(4, np.float32)
        near, far = _span(origins[ray], directions[ray], np.float32(cells))
        light = np.float32(1.0)
        r, g, b = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        median = np.float32(np.inf)
        t = near + jitter[ray] * step
        while t < far:
            x = origins[ray, 0] + t * directions[ray, 0]
            y = origins[ray, 1] + t * directions[ray, 1]
            z = origins[ray, 2] + t * directions[ray, 2]
            if _corners(slot, x, y, z, cells, index, weight):
                _sample(values, index, weight, raw)
                left = np.exp(-_softplus(raw[0]) * step)
                share = light * (1 - left)
                r += share * _sigmoid(raw[1])
                g += share * _sigmoid(raw[2])
                b += share * _sigmoid(raw[3])
                if light > 0.5 and light * left <= 0.5:
                    median = t + step * np.float32(0.5)
                light *= left
                if light < OPAQUE:
                    break
            t += step
        image[ray, 0], image[ray, 1], image[ray, 2], image[ray, 3] = r, g, b, light
        depth[ray] = median


@parallel_kernel
def march_backward(values, slot, origins, directions, jitter, step, image, gradient):
    """dL/dvalues [N,4] from dL/dimage [P,4]: walks front to back again, using the stored final colour."""
    cells = slot.shape[0] - 1
    count = origins.shape[0]
    buffers = np.zeros((CHUNKS, values.shape[0], 4), np.float32)
    for chunk_ in prange(CHUNKS):
        chunk = np.int64(chunk_)
        index, weight, raw = np.empty(8, np.int64), np.empty(8, np.float32), np.empty(4, np.float32)
        out = buffers[chunk]
        for ray in range(chunk * count // CHUNKS, (chunk + 1) * count // CHUNKS):
            gr, gg, gb, gl = gradient[ray, 0], gradient[ray, 1], gradient[ray, 2], gradient[ray, 3]
            near, far = _span(origins[ray], directions[ray], np.float32(cells))
            light = np.float32(1.0)
            behind = gr * image[ray, 0] + gg * image[ray, 1] + gb * image[ray, 2]
            final = gl * image[ray, 3]
            t = near + jitter[ray] * step
            while t < far:
                x = origins[ray, 0] + t * directions[ray, 0]
                y = origins[ray, 1] + t * directions[ray, 1]
                z = origins[ray, 2] + t * directions[ray, 2]
                if _corners(slot, x, y, z, cells, index, weight):
                    _sample(values, index, weight, raw)
                    left = np.exp(-_softplus(raw[0]) * step)
                    share = light * (1 - left)
                    cr, cg, cb = _sigmoid(raw[1]), _sigmoid(raw[2]), _sigmoid(raw[3])
                    toward = gr * cr + gg * cg + gb * cb
                    behind -= share * toward
                    # optical depth x = softplus(raw) step: dL/dx = T (1 - a) c.g - what lies behind - final light
                    slope = (light * left * toward - behind - final) * step * _sigmoid(raw[0])
                    sr = share * gr * cr * (1 - cr)
                    sg = share * gg * cg * (1 - cg)
                    sb = share * gb * cb * (1 - cb)
                    for corner in range(8):
                        row, w = index[corner], weight[corner]
                        if row >= 0:
                            out[row, 0] += w * DENSITY_SCALE * slope
                            out[row, 1] += w * sr
                            out[row, 2] += w * sg
                            out[row, 3] += w * sb
                    light *= left
                    if light < OPAQUE:
                        break
                t += step
    total = np.empty_like(values)
    for row_ in prange(values.shape[0]):
        row = np.int64(row_)
        for k in range(4):
            s = np.float32(0.0)
            for chunk in range(CHUNKS):
                s += buffers[chunk, row, k]
            total[row, k] = s
    return total


@parallel_kernel
def smoothness_gradient(values, slot, corner, weights):
    """[N,4] gradient of half the weighted sum of squared differences between neighbouring active corners."""
    n = slot.shape[0]
    out = np.empty_like(values)
    for row_ in prange(values.shape[0]):
        row = np.int64(row_)
        i, j, k = corner[row, 0], corner[row, 1], corner[row, 2]
        for channel in range(4):
            total = np.float32(0.0)
            for side in range(6):
                a = i + (side == 0) - (side == 1)
                b = j + (side == 2) - (side == 3)
                c = k + (side == 4) - (side == 5)
                if 0 <= a < n and 0 <= b < n and 0 <= c < n and slot[a, b, c] >= 0:
                    total += values[row, channel] - values[slot[a, b, c], channel]
            out[row, channel] = weights[channel] * total
    return out
