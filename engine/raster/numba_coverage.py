"""Antialiasing at silhouettes on the CPU, with gradients to vertex positions: the silhouette-edge walk of METHODS.md.

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
MODE = 0  # TODO

@parallel_kernel
def inverse_depth_image(pixel, depth, triangle_id, out):
    """out [H*W] = 1/w, 0 where there is background."""
    count = out.shape[0]
    ids = triangle_id.reshape(count)
    for block in prange((count + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        high = min(low + BLOCK, count)
        at = np.searchsorted(pixel, low)
        for p in range(low, high):
            if ids[p] != 0:
                out[p] = 1 / depth[at]
                at += 1
            else:
                out[p] = 0


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
def walk(clip, edges, sides, inverse_depth, height, width, mode, margin, fill, edge_of, pair_of, along, position, near, weight):
    """Every crossing of a silhouette edge with a line of pixel centres whose outside pixel lies behind the edge.

    With fill False, only an upper bound of their number is returned. pair_of is 2 * (flat index of the left or upper
    pixel) + (0: a horizontal pair, 1: a vertical one); `along` is where on the edge (0 = its first vertex) and
    `position` where between the two pixel centres (0 = the first pixel) the crossing lies.
    """
    count = 0
    for e in range(edges.shape[0]):
        if sides[e] == 0:
            continue
        a, b = edges[e, 0], edges[e, 1]
        aw, bw = np.float64(clip[a, 3]), np.float64(clip[b, 3])
        ax, ay = (clip[a, 0] / aw + 1) * 0.5 * width, (clip[a, 1] / aw + 1) * 0.5 * height
        bx, by = (clip[b, 0] / bw + 1) * 0.5 * width, (clip[b, 1] / bw + 1) * 0.5 * height
        for axis in range(2):  # 0: along rows, between left and right pixels; 1: along columns
            if axis == 0:
                p0, s0, p1, s1, lines, length = ax, ay, bx, by, height, width
            else:
                p0, s0, p1, s1, lines, length = ay, ax, by, bx, width, height
            dp,ds=p1-p0,s1-s0
            wgt=1.0
            if mode==0:
                wgt=ds*ds/(ds*ds+dp*dp+1e-30)
            elif mode==1:
                if abs(ds)<abs(dp) or (abs(ds)==abs(dp) and axis==1): continue
            first = np.int64(np.ceil(max(min(s0, s1) - 0.5, 0.0)))
            past = np.int64(np.ceil(min(max(s0, s1) - 0.5, np.float64(lines))))
            if not fill:
                count += max(past - first, 0)
                continue
            # moving in +p changes the side by -(by - ay) on rows and by +(bx - ax) on columns
            toward = -(s1 - s0) if axis == 0 else s1 - s0
            inside_second = toward * sides[e] > 0
            for line in range(first, past):
                t = (line + 0.5 - s0) / (s1 - s0)
                p = p0 + t * (p1 - p0) - 0.5
                if not (p >= 0 and p < length - 1):
                    continue
                cell = np.int64(p)
                pixel = line * width + cell if axis == 0 else cell * width + line
                step = 1 if axis == 0 else width
                edge_near = (1 - t) / aw + t / bw
                outside = pixel if inside_second else pixel + step
                if edge_near <= inverse_depth[outside] * (1 + margin):
                    continue
                edge_of[count] = e
                pair_of[count] = 2 * pixel + axis
                along[count] = t
                position[count] = p - cell
                near[count] = edge_near
                weight[count]=wgt
                count += 1
    return count


@kernel
def nearest_crossings(pair_of, near, best):
    """Keep, per pixel pair, the crossing nearest to the camera (the first of equals); returns their indices."""
    best[:] = -1
    for i in range(pair_of.shape[0]):
        winner = best[pair_of[i]]
        if winner < 0 or near[i] > near[winner]:
            best[pair_of[i]] = i
    kept = np.empty(pair_of.shape[0], np.int32)
    count = 0
    for i in range(pair_of.shape[0]):
        if best[pair_of[i]] == i:
            kept[count] = i
            count += 1
    return kept[:count]


@kernel
def blend(image, pair_of, position, weight, width, out):
    """Adds to out [H*W,C], a copy of image [H*W,C], what each crossing uncovers of the pixel beyond it."""
    for i in range(pair_of.shape[0]):
        first = np.int64(pair_of[i]) // 2
        second = first + (width if pair_of[i] % 2 else 1)
        share = np.float32((0.5 - position[i]) * weight[i])
        if share > 0:
            for c in range(image.shape[1]):
                out[first, c] += share * (image[second, c] - image[first, c])
        else:
            for c in range(image.shape[1]):
                out[second, c] += share * (image[second, c] - image[first, c])


@kernel
def blend_backward(
    image, clip, edges, edge_of, pair_of, along, position, weight, grad, height, width, grad_image, grad_clip
):
    """Adds the gradients to grad_image [H*W,C] (a copy of grad; or [0,C] if not wanted) and grad_clip [V,4]."""
    channels = image.shape[1]
    for i in range(pair_of.shape[0]):
        vertical = pair_of[i] % 2
        first = np.int64(pair_of[i]) // 2
        second = first + (width if vertical else 1)
        share = np.float32((0.5 - position[i]) * weight[i])
        target = first if share > 0 else second
        to_position = 0.0
        for c in range(channels):
            g = grad[target, c]
            to_position -= np.float64(g) * (image[second, c] - image[first, c])
            if grad_image.shape[0] > 0:
                grad_image[first, c] -= share * g
                grad_image[second, c] += share * g
        to_position *= weight[i]
        e = edge_of[i]
        t = along[i]
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
        inverse_depth = np.empty(height * width, np.float32)
        inverse_depth_image(pixel.numpy(), depth.numpy(), triangle_id.numpy(), inverse_depth)
        none_i, none_f = np.empty(0, np.int32), np.empty(0, np.float64)
        most = walk(positions, ends, sides, inverse_depth, height, width, MODE, DEPTH_MARGIN, False, none_i, none_i, none_f, none_f, none_f,none_f)
        edge_of, pair_of = np.empty(most, np.int32), np.empty(most, np.int32)
        along, position, near, weight = np.empty((4, most), np.float64)
        count = walk(positions, ends, sides, inverse_depth, height, width, MODE, DEPTH_MARGIN, True, edge_of, pair_of, along, position, near, weight)
        best = np.empty(2 * height * width, np.int32)
        kept = nearest_crossings(pair_of[:count], near[:count], best)
        crossings = edge_of[kept], pair_of[kept], along[kept], position[kept], weight[kept]
        out = image.detach().clone(memory_format=torch.contiguous_format)
        blend(colors, crossings[1], crossings[3], crossings[4], width, out.numpy().reshape(-1, channels))
        ctx.save_for_backward(image, clip, edges)
        ctx.crossings = crossings
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
        edge_of, pair_of, along, position, weight = ctx.crossings
        blend_backward(
            image.detach().contiguous().numpy().reshape(-1, channels),
            clip.detach().contiguous().numpy(),
            edges.numpy(),
            edge_of,
            pair_of,
            along,
            position,
            weight,
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
