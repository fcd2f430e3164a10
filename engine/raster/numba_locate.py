"""Where on their triangles the covered pixels lie: analytic barycentrics and depth, in one compact list."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.numba_visibility import BAND_ROWS, band_of

SLIVER = 0.01  # barycentrics further outside than this belong to slivers and get no gradient


@kernel
def _settled(u, v):
    """(u, v) put back inside, where a sliver was hit only because of snapping."""
    if not (abs(u) + abs(v) < np.inf):  # no area
        return 1 / 3, 1 / 3
    u, v, rest = max(u, 0.0), max(v, 0.0), max(1 - u - v, 0.0)
    total = u + v + rest
    return u / total, v / total


@parallel_kernel
def locate(clip, triangles, ids, covered, pixel, triangle_of, barycentrics, depth):
    """The compact list of covered pixels: flat index, triangle, analytic barycentrics (u, v) and depth w.

    Along a row a triangle's edge functions are linear in x; with those, a pixel costs a division and few products.
    """
    height, width = ids.shape
    bands = covered.shape[0] - 1
    step, start = 2 / width, 1 / width - 1
    for order in prange(bands):
        band = band_of(np.int64(order), bands)
        p = covered[band]
        for y in range(band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)):
            ny = (y + 0.5) / height * 2 - 1
            last = np.int32(0)
            aw = bw = cw = ea_0 = eb_0 = ec_0 = ea_x = eb_x = ec_x = 0.0
            for x in range(width):
                number = ids[y, x]
                if number == 0:
                    continue
                t = np.int64(number) - 1
                if number != last:
                    last = number
                    i, j, k = np.uint64(triangles[t, 0]), np.uint64(triangles[t, 1]), np.uint64(triangles[t, 2])
                    aw, bw, cw = np.float64(clip[i, 3]), np.float64(clip[j, 3]), np.float64(clip[k, 3])
                    ax, ay = np.float64(clip[i, 0]), clip[i, 1] - ny * aw
                    bx, by = np.float64(clip[j, 0]), clip[j, 1] - ny * bw
                    cx, cy = np.float64(clip[k, 0]), clip[k, 1] - ny * cw
                    ea_0, eb_0, ec_0 = bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay
                    ea_x, eb_x, ec_x = cw * by - bw * cy, aw * cy - cw * ay, bw * ay - aw * by
                nx = x * step + start
                ea, eb, ec = ea_0 + nx * ea_x, eb_0 + nx * eb_x, ec_0 + nx * ec_x
                scale = 1 / (ea + eb + ec)
                u, v = ea * scale, eb * scale
                if not (u >= -SLIVER and v >= -SLIVER and u + v <= 1 + SLIVER):
                    u, v = _settled(u, v)
                pixel[p] = y * width + x
                triangle_of[p] = t
                barycentrics[p, 0] = u
                barycentrics[p, 1] = v
                depth[p] = u * aw + v * bw + (1 - u - v) * cw
                p += 1
