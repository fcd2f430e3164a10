"""Antialiasing at silhouettes on the CPU, with gradients to vertex positions: the silhouette-edge walk.

Edges whose two triangles project to the same side, and boundary edges, are crossed with the lines between neighbouring
pixel centres; the two pixels' colours are blended by the crossing's position, through which the gradient flows. The
shares of horizontal and vertical pairs are treated as constants. Edges that reach out of the depth range are skipped.
Few edges are silhouettes, so only finding them is parallel; walking them is one serial loop.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.contract import EdgeTable, VisibilityBuffer

DEPTH_MARGIN = 1e-4  # relative; a surface must lie this much behind an edge to be what the edge uncovers
BLOCK = 4096  # edges that one turn of a parallel loop takes
ALONG, POSITION, NEAR, WEIGHT, REACH = range(5)  # columns of what is known of a crossing
VALUES = 5


@kernel
def _inverse_depth(ids, pixel, depth, at):
    """1/w of what the pixel at flat index `at` shows, 0 for background; only few pixels are ever asked for."""
    if ids[at] == 0:
        return np.float32(0)
    return 1 / depth[np.searchsorted(pixel, at)]


@kernel
def _side(clip, a, b, c):
    """Determinant of (x, y, w) of three vertices: which side of the edge a-b vertex c projects to."""
    ax, ay, aw = np.float64(clip[a, 0]), np.float64(clip[a, 1]), np.float64(clip[a, 3])
    bx, by, bw = np.float64(clip[b, 0]), np.float64(clip[b, 1]), np.float64(clip[b, 3])
    cx, cy, cw = np.float64(clip[c, 0]), np.float64(clip[c, 1]), np.float64(clip[c, 3])
    return ax * (by * cw - cy * bw) - ay * (bx * cw - cx * bw) + aw * (bx * cy - cx * by)


@parallel_kernel
def flag_silhouettes(clip, edges, opposite, sides):
    """sides [E] int8: 0 = no silhouette, else the sign of the side on which the surface lies."""
    count = edges.shape[0]
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        for e in range(low, min(low + BLOCK, count)):
            a, b = edges[e, 0], edges[e, 1]
            first = _side(clip, a, b, opposite[e, 0])
            second = first
            if opposite[e, 1] >= 0:
                second = _side(clip, a, b, opposite[e, 1])
            side = 0
            if first > 0 and second > 0:
                side = 1
            elif first < 0 and second < 0:
                side = -1
            if side != 0:
                for v in (a, b):
                    w = clip[v, 3]
                    if not (w > 0 and abs(clip[v, 2]) <= w):
                        side = 0
            sides[e] = side


@kernel
def walk(clip, edges, sides, triangle_id, pixel, depth, fill, index, value):
    """Every crossing of a silhouette edge with a line of pixel centres whose outside pixel lies behind the edge.

    With `fill` False, only an upper bound of their number is returned. index [N,2] int32: the edge, and the pixel pair
    as 2 * (flat index of the left or upper pixel) + (0: a horizontal pair, 1: a vertical one). value [N,5]: ALONG where
    on the edge (0 = its first vertex), POSITION where between the two pixel centres (0 = the first) the crossing lies,
    NEAR the edge's 1/w there, WEIGHT the pair's share, REACH how far toward the outside pixel, signed by direction.

    A pair along rows sees an edge as well as one along columns does; their shares are the squared components of the
    edge's normal, which add up to one and tame the slope of edges that run nearly along the line.
    """
    count = 0
    height, width = triangle_id.shape
    ids = triangle_id.reshape(height * width)
    for e in range(edges.shape[0]):
        if sides[e] == 0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        aw, bw = np.float64(clip[a, 3]), np.float64(clip[b, 3])
        ax, ay = (clip[a, 0] / aw + 1) * 0.5 * width, (clip[a, 1] / aw + 1) * 0.5 * height
        bx, by = (clip[b, 0] / bw + 1) * 0.5 * width, (clip[b, 1] / bw + 1) * 0.5 * height
        squared = (bx - ax) ** 2 + (by - ay) ** 2
        for axis in range(2):  # 0: along rows, between left and right pixels; 1: along columns
            if axis == 0:
                p0, s0, p1, s1, lines, length = ax, ay, bx, by, height, width
            else:
                p0, s0, p1, s1, lines, length = ay, ax, by, bx, width, height
            first = np.int64(np.ceil(min(max(min(s0, s1) - 0.5, 0.0), np.float64(lines))))
            past = np.int64(np.ceil(max(min(max(s0, s1) - 0.5, np.float64(lines)), 0.0)))
            if not fill:
                count += max(past - first, 0)
                continue
            # moving in +p changes the side by -(by - ay) on rows and by +(bx - ax) on columns
            toward = s0 - s1 if axis == 0 else s1 - s0
            inside_second = toward * sides[e] > 0
            step = 1 if axis == 0 else width
            for line in range(first, past):
                t = (line + 0.5 - s0) / (s1 - s0)
                p = p0 + t * (p1 - p0) - 0.5
                if not (p >= 0 and p < length - 1):
                    continue
                cell = np.int64(p)
                at = line * width + cell if axis == 0 else cell * width + line
                near = (1 - t) / aw + t / bw
                outside = at if inside_second else at + step
                if near <= _inverse_depth(ids, pixel, depth, outside) * (1 + DEPTH_MARGIN):
                    continue
                index[count, 0], index[count, 1] = e, 2 * at + axis
                value[count, ALONG], value[count, POSITION], value[count, NEAR] = t, p - cell, near
                value[count, WEIGHT] = (s1 - s0) ** 2 / squared
                value[count, REACH] = p - cell - 2 if inside_second else p - cell + 1
                count += 1
    return count


@kernel
def visible_crossings(index, value, best, wins):
    """Fill `wins` with the rows of the crossings that bound what is seen between two pixels; returns their number.

    Of surfaces on the same side the one that reaches furthest is the last before what lies beyond, however deep it is
    (what is behind another's edge is hidden, what sticks out is seen); of two on opposite sides the nearer wins.
    """
    count = index.shape[0]
    for i in range(count):  # `best` holds one entry per pair and direction; only those in use are ever set
        best[2 * index[i, 1]] = best[2 * index[i, 1] + 1] = -1
    for i in range(count):
        slot = 2 * index[i, 1] + (value[i, REACH] > 0)
        if best[slot] < 0 or abs(value[i, REACH]) > abs(value[best[slot], REACH]):
            best[slot] = i
    kept = 0
    for i in range(count):
        forward = value[i, REACH] > 0
        if best[2 * index[i, 1] + forward] != i:
            continue
        other = best[2 * index[i, 1] + (1 - forward)]
        if other >= 0 and (value[other, NEAR] > value[i, NEAR] or (value[other, NEAR] == value[i, NEAR] and other < i)):
            continue
        wins[kept] = i
        kept += 1
    return kept


@kernel
def blend(image, index, value, width, out):
    """Adds to out [H*W,C], a copy of image [H*W,C], what each crossing uncovers of the pixel beyond it."""
    for i in range(index.shape[0]):
        first = np.int64(index[i, 1]) // 2
        second = first + (width if index[i, 1] % 2 else 1)
        share = np.float32((0.5 - value[i, POSITION]) * value[i, WEIGHT])
        target = first if share > 0 else second
        for c in range(image.shape[1]):
            out[target, c] += share * (image[second, c] - image[first, c])


@kernel
def blend_backward(image, clip, edges, index, value, grad, height, width, grad_image, grad_clip):
    """Adds the gradients to grad_image [H*W,C] (a copy of grad; or [0,C] if not wanted) and grad_clip [V,4]."""
    channels = image.shape[1]
    for i in range(index.shape[0]):
        vertical = index[i, 1] % 2
        first = np.int64(index[i, 1]) // 2
        second = first + (width if vertical else 1)
        share = np.float32((0.5 - value[i, POSITION]) * value[i, WEIGHT])
        target = first if share > 0 else second
        to_position = 0.0
        for c in range(channels):
            g = grad[target, c]
            to_position -= np.float64(g) * (image[second, c] - image[first, c])
            if grad_image.shape[0] > 0:
                grad_image[first, c] -= share * g
                grad_image[second, c] += share * g
        to_position *= value[i, WEIGHT]
        e, t = index[i, 0], value[i, ALONG]
        a, b = edges[e, 0], edges[e, 1]
        aw, bw = np.float64(clip[a, 3]), np.float64(clip[b, 3])
        slope_x = (clip[b, 0] / bw - clip[a, 0] / aw) * width
        slope_y = (clip[b, 1] / bw - clip[a, 1] / aw) * height
        if vertical:  # the crossing moves along y
            to_x, to_y = -to_position * slope_y / slope_x, to_position
        else:
            to_x, to_y = to_position, -to_position * slope_x / slope_y
        for v, w, part in ((a, aw, 1 - t), (b, bw, t)):
            gx, gy = to_x * part * 0.5 * width / w, to_y * part * 0.5 * height / w
            grad_clip[v, 0] += gx
            grad_clip[v, 1] += gy
            grad_clip[v, 3] -= (gx * clip[v, 0] + gy * clip[v, 1]) / w


class _Coverage(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, clip, triangle_id, pixel, depth, edges, opposite):
        height, width, channels = image.shape
        positions = clip.detach().contiguous().numpy()
        colors = image.detach().contiguous().numpy().reshape(-1, channels)
        ends = edges.numpy()
        sides = np.empty(len(ends), np.int8)
        flag_silhouettes(positions, ends, opposite.numpy(), sides)
        seen = triangle_id.numpy(), pixel.numpy(), depth.numpy()
        index, value = np.empty((0, 2), np.int32), np.empty((0, VALUES), np.float64)
        most = walk(positions, ends, sides, *seen, False, index, value)
        index, value = np.empty((most, 2), np.int32), np.empty((most, VALUES), np.float64)
        count = walk(positions, ends, sides, *seen, True, index, value)
        best, wins = np.empty(4 * height * width, np.int32), np.empty(count, np.int32)
        wins = wins[: visible_crossings(index[:count], value[:count], best, wins)]
        index, value = index[wins], value[wins]
        out = image.detach().clone(memory_format=torch.contiguous_format)
        blend(colors, index, value, width, out.numpy().reshape(-1, channels))
        ctx.save_for_backward(image, clip, edges)
        ctx.crossings = index, value
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        image, clip, edges = ctx.saved_tensors
        height, width, channels = image.shape
        to_image, to_clip = ctx.needs_input_grad[:2]
        grad = grad.contiguous()
        grad_image = grad.clone() if to_image else torch.empty((0, width, channels))
        grad_clip = torch.zeros_like(clip, memory_format=torch.contiguous_format)
        blend_backward(
            image.detach().contiguous().numpy().reshape(-1, channels),
            clip.detach().contiguous().numpy(),
            edges.numpy(),
            *ctx.crossings,
            grad.numpy().reshape(-1, channels),
            height,
            width,
            grad_image.numpy().reshape(-1, channels),
            grad_clip.numpy(),
        )
        return grad_image if to_image else None, grad_clip if to_clip else None, None, None, None, None, None


def coverage(image: Tensor, clip: Tensor, triangles: Tensor, buffer: VisibilityBuffer, edges: EdgeTable) -> Tensor:
    """See `contract.Rasterizer.coverage`."""
    return _Coverage.apply(image, clip, buffer.triangle_id, buffer.pixel, buffer.depth, edges.edges, edges.opposite)
