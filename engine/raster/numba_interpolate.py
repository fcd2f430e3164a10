"""Interpolation and composing on the CPU, forward and backward, and the gradient of barycentrics to clip positions."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.scatter import chunk_bounds
from engine.kernels.settings import parallel_kernel
from engine.raster.numba_locate import SLIVER

BLOCK = 4096  # pixels that one turn of a parallel loop takes


@parallel_kernel
def interpolate(attributes, triangles, triangle, barycentrics, out):
    """out [P,C] = attributes of triangle[p]'s corners, weighed by barycentrics [P,2]."""
    count, channels = out.shape
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        for p in range(low, min(low + BLOCK, count)):
            t = triangle[p]
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            u, v = barycentrics[p, 0], barycentrics[p, 1]
            w = np.float32(1) - u - v
            for c in range(channels):
                out[p, c] = u * attributes[i, c] + v * attributes[j, c] + w * attributes[k, c]


@parallel_kernel
def interpolate_backward(attributes, triangles, triangle, barycentrics, grad, buffers, grad_barycentrics):
    """Adds to buffers [chunks,A,C] (skipped if it has no chunk rows) and fills grad_barycentrics [P,2] (or [0,2])."""
    count, channels = grad.shape
    chunks = buffers.shape[0]
    with_attributes, with_barycentrics = buffers.shape[1] > 0, grad_barycentrics.shape[0] > 0
    for c in prange(chunks):
        chunk = np.int64(c)
        own = buffers[chunk]
        own[:] = 0
        low, high = chunk_bounds(chunk, chunks, count)
        for p in range(low, high):
            t = triangle[p]
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            if with_attributes:
                u, v = barycentrics[p, 0], barycentrics[p, 1]
                w = np.float32(1) - u - v
                for n in range(channels):
                    g = grad[p, n]
                    own[i, n] += u * g
                    own[j, n] += v * g
                    own[k, n] += w * g
            if with_barycentrics:
                to_u, to_v = np.float32(0), np.float32(0)
                for n in range(channels):
                    g, last = grad[p, n], attributes[k, n]
                    to_u += g * (attributes[i, n] - last)
                    to_v += g * (attributes[j, n] - last)
                grad_barycentrics[p, 0] = to_u
                grad_barycentrics[p, 1] = to_v


@parallel_kernel
def barycentrics_backward(clip, triangles, pixel, triangle, grad, height, width, buffers):
    """Adds the gradient of clip (x, y, w) to buffers [chunks,V,3], from grad [P,2] of (u, v).

    With e_i the edge functions of the corners seen from the pixel and b_i = e_i / sum(e):
    dL/de_i = (g_i - sum_j g_j b_j) / sum(e), and each e_i is a 2x2 determinant of the two other corners.
    """
    count = pixel.shape[0]
    chunks = buffers.shape[0]
    for c in prange(chunks):
        chunk = np.int64(c)
        own = buffers[chunk]
        own[:] = 0
        low, high = chunk_bounds(chunk, chunks, count)
        last = np.int64(-1)
        i = j = k = np.int64(0)
        ax = ay = aw = bx = by = bw = cx = cy = cw = 0.0
        gax = gay = gaw = gbx = gby = gbw = gcx = gcy = gcw = 0.0
        for p in range(low, high):
            t = triangle[p]
            if t != last:
                if last >= 0:
                    own[i, 0] += gax
                    own[i, 1] += gay
                    own[i, 2] += gaw
                    own[j, 0] += gbx
                    own[j, 1] += gby
                    own[j, 2] += gbw
                    own[k, 0] += gcx
                    own[k, 1] += gcy
                    own[k, 2] += gcw
                last = t
                i, j, k = np.int64(triangles[t, 0]), np.int64(triangles[t, 1]), np.int64(triangles[t, 2])
                ax, ay, aw = np.float64(clip[i, 0]), np.float64(clip[i, 1]), np.float64(clip[i, 3])
                bx, by, bw = np.float64(clip[j, 0]), np.float64(clip[j, 1]), np.float64(clip[j, 3])
                cx, cy, cw = np.float64(clip[k, 0]), np.float64(clip[k, 1]), np.float64(clip[k, 3])
                gax = gay = gaw = gbx = gby = gbw = gcx = gcy = gcw = 0.0
            flat = pixel[p]
            y = flat // width
            nx, ny = (flat - y * width + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
            pax, pay, pbx, pby = ax - nx * aw, ay - ny * aw, bx - nx * bw, by - ny * bw
            pcx, pcy = cx - nx * cw, cy - ny * cw
            ea, eb, ec = pbx * pcy - pcx * pby, pcx * pay - pax * pcy, pax * pby - pbx * pay
            total = ea + eb + ec
            if total == 0:
                continue
            scale = 1 / total
            u, v = ea * scale, eb * scale
            if min(u, v, 1 - u - v) < -SLIVER:
                continue
            gu, gv = np.float64(grad[p, 0]), np.float64(grad[p, 1])
            mean = gu * u + gv * v
            ha, hb, hc = (gu - mean) * scale, (gv - mean) * scale, -mean * scale
            dax, day = hc * pby - hb * pcy, hb * pcx - hc * pbx
            dbx, dby = ha * pcy - hc * pay, hc * pax - ha * pcx
            dcx, dcy = hb * pay - ha * pby, ha * pbx - hb * pax
            gax += dax
            gay += day
            gaw -= nx * dax + ny * day
            gbx += dbx
            gby += dby
            gbw -= nx * dbx + ny * dby
            gcx += dcx
            gcy += dcy
            gcw -= nx * dcx + ny * dcy
        if last >= 0:
            own[i, 0] += gax
            own[i, 1] += gay
            own[i, 2] += gaw
            own[j, 0] += gbx
            own[j, 1] += gby
            own[j, 2] += gbw
            own[k, 0] += gcx
            own[k, 1] += gcy
            own[k, 2] += gcw


@parallel_kernel
def compose(values, triangle_id, pixel, background, out):
    """out [H*W,C] = values [P,C] at `pixel`, background [1 or H*W, C] elsewhere."""
    count, channels = out.shape
    ids = triangle_id.reshape(count)
    per_pixel = background.shape[0] > 1
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        high = min(low + BLOCK, count)
        at = np.searchsorted(pixel, low)
        for p in range(low, high):
            if ids[p] != 0:
                for c in range(channels):
                    out[p, c] = values[at, c]
                at += 1
            else:
                row = p if per_pixel else 0
                for c in range(channels):
                    out[p, c] = background[row, c]


@parallel_kernel
def gather_rows(source, index, out):
    """out [P,C] = source [N,C] at `index` [P]."""
    count, channels = out.shape
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        for p in range(low, min(low + BLOCK, count)):
            for c in range(channels):
                out[p, c] = source[index[p], c]
