"""Interpolation and composing on the CPU, forward and backward, and the gradient of barycentrics to clip positions."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.scatter import chunk_bounds
from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.numba_locate import SLIVER

BLOCK = 4096  # pixels that one turn of a parallel loop takes
NO_AREA = 1e-14  # of a triangle's determinant over its depths: less is rounding, and gets no gradient
CLOSE = 1e-5  # a barycentric below this may be one that `locate` put back inside


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


@kernel
def _edge_gradients(clip, i, j, k, moments, own):
    """Adds to own [V,3] the gradient of corners i, j and k from that of their three edge functions.

    An edge function is the dot product of the pixel n = (nx, ny, 1) and the cross product of two corners (x, y, w), and
    moments are the sums over pixels of dL/de_a n, dL/de_b n and dL/de_c n, each times the triangle's determinant.
    """
    ax, ay, aw = np.float64(clip[i, 0]), np.float64(clip[i, 1]), np.float64(clip[i, 3])
    bx, by, bw = np.float64(clip[j, 0]), np.float64(clip[j, 1]), np.float64(clip[j, 3])
    cx, cy, cw = np.float64(clip[k, 0]), np.float64(clip[k, 1]), np.float64(clip[k, 3])
    determinant = ax * (by * cw - cy * bw) - ay * (bx * cw - cx * bw) + aw * (bx * cy - cx * by)
    if not abs(determinant) > NO_AREA * abs(aw * bw * cw):
        return
    scale = 1 / determinant
    px, py, pw = moments[0] * scale, moments[1] * scale, moments[2] * scale
    qx, qy, qw = moments[3] * scale, moments[4] * scale, moments[5] * scale
    rx, ry, rw = moments[6] * scale, moments[7] * scale, moments[8] * scale
    own[i, 0] += by * rw - bw * ry - (cy * qw - cw * qy)  # b x r - c x q, and so on around
    own[i, 1] += bw * rx - bx * rw - (cw * qx - cx * qw)
    own[i, 2] += bx * ry - by * rx - (cx * qy - cy * qx)
    own[j, 0] += cy * pw - cw * py - (ay * rw - aw * ry)
    own[j, 1] += cw * px - cx * pw - (aw * rx - ax * rw)
    own[j, 2] += cx * py - cy * px - (ax * ry - ay * rx)
    own[k, 0] += ay * qw - aw * qy - (by * pw - bw * py)
    own[k, 1] += aw * qx - ax * qw - (bw * px - bx * pw)
    own[k, 2] += ax * qy - ay * qx - (bx * py - by * px)


@kernel
def _is_sliver(clip, i, j, k, nx, ny):
    """Whether the barycentrics of (nx, ny) lie so far outside that `locate` put them back inside."""
    ax, ay = clip[i, 0] - nx * clip[i, 3], clip[i, 1] - ny * clip[i, 3]
    bx, by = clip[j, 0] - nx * clip[j, 3], clip[j, 1] - ny * clip[j, 3]
    cx, cy = clip[k, 0] - nx * clip[k, 3], clip[k, 1] - ny * clip[k, 3]
    ea, eb, ec = bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay
    total = ea + eb + ec
    return not (min(ea / total, eb / total, ec / total) >= -SLIVER)


@parallel_kernel
def barycentrics_backward(clip, triangles, pixel, triangle, barycentrics, depth, grad, height, width, buffers):
    """Adds the gradient of clip (x, y, w) to buffers [chunks,V,3], from grad [P,2] of (u, v).

    With e_i the edge functions of the corners seen from the pixel and b_i = e_i / sum(e):
    dL/de_i = (g_i - sum_j g_j b_j) / sum(e), where sum(e) is the determinant of the corners over the pixel's depth, and
    each e_i is linear in the pixel's position; so a run of pixels on one triangle needs its corners only once.
    """
    count = pixel.shape[0]
    chunks = buffers.shape[0]
    step_x, step_y = 2 / width, 2 / height
    for c in prange(chunks):
        chunk = np.int64(c)
        own = buffers[chunk]
        own[:] = 0
        low, high = chunk_bounds(chunk, chunks, count)
        p, y = low, pixel[low] // width if low < high else 0
        while p < high:
            t = triangle[p]
            while pixel[p] >= (y + 1) * width:
                y += 1
            i, j, k = np.uint64(triangles[t, 0]), np.uint64(triangles[t, 1]), np.uint64(triangles[t, 2])
            row_end = (y + 1) * width
            shift = 0.5 - np.float64(y * width)
            ny = (y + 0.5) * step_y - 1
            a = b = rest = a_x = b_x = rest_x = 0.0  # sums of dL/de over the run, and of dL/de nx
            while p < high and triangle[p] == t and pixel[p] < row_end:
                u, v = np.float64(barycentrics[p, 0]), np.float64(barycentrics[p, 1])
                nx = (pixel[p] + shift) * step_x - 1
                if min(u, v, 1 - u - v) > CLOSE or not _is_sliver(clip, i, j, k, nx, ny):
                    gu, gv, w = np.float64(grad[p, 0]), np.float64(grad[p, 1]), np.float64(depth[p])
                    mean = gu * u + gv * v
                    ha, hb, hc = (gu - mean) * w, (gv - mean) * w, -mean * w
                    a, b, rest = a + ha, b + hb, rest + hc
                    a_x, b_x, rest_x = a_x + ha * nx, b_x + hb * nx, rest_x + hc * nx
                p += 1
            _edge_gradients(clip, i, j, k, (a_x, a * ny, a, b_x, b * ny, b, rest_x, rest * ny, rest), own)


@kernel
def _compose(values, ids, pixel, background, out, low, high, channels):
    """Pixels low to high of `compose`; a constant for `channels` unrolls the loops over them."""
    at = np.searchsorted(pixel, low)
    row_step = 1 if background.shape[0] > 1 else 0
    for p in range(low, high):
        if ids[p] != 0:
            for c in range(channels):
                out[p, c] = values[at, c]
            at += 1
        else:
            for c in range(channels):
                out[p, c] = background[p * row_step, c]


@parallel_kernel
def compose(values, triangle_id, pixel, background, out):
    """out [H*W,C] = values [P,C] at `pixel`, background [1 or H*W, C] elsewhere."""
    count, channels = out.shape
    ids = triangle_id.reshape(count)
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        high = min(low + BLOCK, count)
        if channels == 4:
            _compose(values, ids, pixel, background, out, low, high, 4)
        else:
            _compose(values, ids, pixel, background, out, low, high, channels)


@kernel
def _gather_rows(source, index, out, low, high, channels):
    """Rows low to high of `gather_rows`; `channels` as in `_compose`."""
    for p in range(low, high):
        for c in range(channels):
            out[p, c] = source[index[p], c]


@parallel_kernel
def gather_rows(source, index, out):
    """out [P,C] = source [N,C] at `index` [P]."""
    count, channels = out.shape
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        high = min(low + BLOCK, count)
        if channels == 4:
            _gather_rows(source, index, out, low, high, 4)
        else:
            _gather_rows(source, index, out, low, high, channels)
