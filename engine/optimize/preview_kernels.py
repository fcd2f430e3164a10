"""Numba kernels of the preview: encode to eight bits, draw triangles' edges, look up the light behind the object."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import parallel_kernel

ROWS = 16  # of an image, the work that threads take at a time


@parallel_kernel
def encode(image, gain, linear, table, out):
    """Premultiplied [N,4] to uint8 [N,4] premultiplied: colour times `gain`, then sRGB by `table` where `linear`."""
    last = table.shape[0] - 1
    blocks = (image.shape[0] + 4095) // 4096
    for block in prange(blocks):
        low = np.int64(block) * 4096
        for i in range(low, min(low + 4096, image.shape[0])):
            alpha = image[i, 3]
            if alpha <= 0:
                out[i, 0], out[i, 1], out[i, 2], out[i, 3] = 0, 0, 0, 0
                continue
            alpha = min(alpha, np.float32(1.0))
            scale = gain / alpha
            for k in range(3):
                value = min(max(image[i, k] * scale, np.float32(0.0)), np.float32(1.0))
                if linear:
                    value = table[int(value * last + np.float32(0.5))]
                out[i, k] = np.uint8(value * alpha * np.float32(255.0) + np.float32(0.5))
            out[i, 3] = np.uint8(alpha * np.float32(255.0) + np.float32(0.5))


@parallel_kernel
def draw_edges(clip, triangles, flags, colors, widths, pixel, triangle, height, width, fade, values):
    """Blend the edges of the triangles that pixels lie in into `values` [P,3].

    flags [F,3] names the kind of the edge from corner k to k+1; colors [K,4] (alpha last) and widths [K] pixels are by
    kind. Edges of kind 0 grow fainter on triangles of fewer than `fade` pixels height, which they would cover.
    """
    count = pixel.shape[0]
    half_w, half_h = np.float32(0.5 * width), np.float32(0.5 * height)
    for block in prange((count + 1023) // 1024):
        low = np.int64(block) * 1024
        x, y = np.empty(3, np.float32), np.empty(3, np.float32)
        for p in range(low, min(low + 1024, count)):
            t = triangle[p]
            behind = False
            for k in range(3):
                v = triangles[t, k]
                w = clip[v, 3]
                behind |= w <= 0
                inverse = np.float32(1.0) / w
                x[k] = (clip[v, 0] * inverse + 1) * half_w
                y[k] = (clip[v, 1] * inverse + 1) * half_h
            if behind:
                continue
            px = np.float32(pixel[p] % width) + np.float32(0.5)
            py = np.float32(pixel[p] // width) + np.float32(0.5)
            area = abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
            for k in range(3):
                n = (k + 1) % 3
                dx, dy = x[n] - x[k], y[n] - y[k]
                length = np.sqrt(dx * dx + dy * dy) + np.float32(1e-12)
                distance = abs((px - x[k]) * dy - (py - y[k]) * dx) / length
                kind = flags[t, k]
                share = min(max(widths[kind] * np.float32(0.5) + np.float32(0.5) - distance, np.float32(0.0)), 1)
                share *= colors[kind, 3]
                if kind == 0:
                    share *= min(area / length / fade, np.float32(1.0))
                if share > 0:
                    for c in range(3):
                        values[p, c] += (colors[kind, c] - values[p, c]) * share


@parallel_kernel
def light_behind(radiance, environment_from_camera, focal, centre, image):
    """Put the light seen by a camera behind premultiplied `image` [H,W,4]; alpha becomes 1."""
    height, width = image.shape[:2]
    rows, columns = radiance.shape[:2]
    pi = np.float32(np.pi)
    for block in prange((height + ROWS - 1) // ROWS):
        low = np.int64(block) * ROWS
        for i in range(low, min(low + ROWS, height)):
            y = (i + np.float32(0.5) - centre[1]) / focal[1]
            for j in range(width):
                rest = np.float32(1.0) - image[i, j, 3]
                if rest <= 0:
                    continue
                x = (j + np.float32(0.5) - centre[0]) / focal[0]
                r = environment_from_camera
                dx = r[0, 0] * x + r[0, 1] * y + r[0, 2]
                dy = r[1, 0] * x + r[1, 1] * y + r[1, 2]
                dz = r[2, 0] * x + r[2, 1] * y + r[2, 2]
                dy /= np.sqrt(dx * dx + dy * dy + dz * dz)
                u = (np.arctan2(dx, -dz) / (2 * pi) + np.float32(0.5)) * columns - np.float32(0.5)
                v = np.arccos(min(max(dy, np.float32(-1.0)), np.float32(1.0))) / pi * rows - np.float32(0.5)
                v = min(max(v, np.float32(0.0)), np.float32(rows - 1))
                a, b = int(np.floor(u)), int(v)
                fu, fv = u - a, v - b
                a0, a1, b1 = (a + columns) % columns, (a + 1 + columns) % columns, min(b + 1, rows - 1)
                for c in range(3):
                    top = radiance[b, a0, c] * (1 - fu) + radiance[b, a1, c] * fu
                    bottom = radiance[b1, a0, c] * (1 - fu) + radiance[b1, a1, c] * fu
                    image[i, j, c] += rest * (top * (1 - fv) + bottom * fv)
                image[i, j, 3] = 1
