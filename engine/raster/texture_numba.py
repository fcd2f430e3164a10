"""Mip-mapped texture look-up by numba: one forward and one backward kernel over all points and channels."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from engine.kernels.settings import kernel, parallel_kernel
from engine.raster.texture_pyramid import Pyramid, level_tables

# Fewer points than this are looked up on one thread's share of the work.
CHUNK = 512
# Runs of this many rows belong to one owner when gradients are scattered.
ROW_SHIFT = 2
MATERIAL_CHANNELS = 8  # of the textures that are looked up most, for which the compiler unrolls the loop


@kernel
def _taps(t, n):
    """Two neighbouring texels and the weight of the second, along one axis of n texels; NaN goes to texel 0."""
    x = t * np.float32(n) - np.float32(0.5)
    if not x > np.float32(-1.0):
        x = np.float32(-1.0)
    if x > np.float32(n):
        x = np.float32(n)
    floor = np.floor(x)
    first = np.int64(floor)
    return max(min(first, n - 1), 0), max(min(first + 1, n - 1), 0), x - floor


@kernel
def _level(value, count):
    """The finer of two levels and the weight of the coarser."""
    top = np.float32(count - 1)
    if not value > np.float32(0.0):
        value = np.float32(0.0)
    if value > top:
        value = top
    fine = np.int64(value)
    return fine, value - np.float32(fine)


@kernel
def _add_texels(values, texels, weights, out, p, channels):
    """Add the weighted sum of four texels to out[p]; quicker by half where the caller knows the number of channels."""
    a, b, c, d = texels
    wa, wb, wc, wd = weights
    for k in range(channels):
        out[p, k] += (wa * values[a, k] + wb * values[b, k]) + (wc * values[c, k] + wd * values[d, k])


@parallel_kernel
def _look_up(base, rest, sizes, offsets, uv, level, out):
    """Write the trilinear look-up of every point into out [P,C]."""
    count = uv.shape[0]
    channels = out.shape[1]
    for chunk in numba.prange((count + CHUNK - 1) // CHUNK):
        start = np.int64(chunk) * CHUNK
        for p in range(start, min(start + CHUNK, count)):
            fine, blend = _level(level[p], len(sizes))
            for c in range(channels):
                out[p, c] = np.float32(0.0)
            for k in range(fine, fine + (2 if blend > 0 else 1)):
                h, w = sizes[k]
                values = base if k == 0 else rest
                x0, x1, fx = _taps(uv[p, 0], w)
                y0, y1, fy = _taps(uv[p, 1], h)
                weight = np.float32(1.0) - blend if k == fine else blend
                w1 = weight * fy
                w0 = weight - w1
                w01 = w0 * fx
                w11 = w1 * fx
                w00 = w0 - w01
                w10 = w1 - w11
                upper = offsets[k] + y0 * w
                lower = offsets[k] + y1 * w
                texels, weights = (upper + x0, upper + x1, lower + x0, lower + x1), (w00, w01, w10, w11)
                if channels == MATERIAL_CHANNELS:
                    _add_texels(values, texels, weights, out, p, MATERIAL_CHANNELS)
                else:
                    _add_texels(values, texels, weights, out, p, channels)


@parallel_kernel
def _scatter(base, rest, sizes, offsets, uv, level, gradient, owners):
    """Add the points' gradients to the levels' (base, rest).

    Every owner walks all points in order and adds to its own rows only, so that each texel sums in the order of the
    points whatever the number of owners and threads.
    """
    channels = gradient.shape[1]
    for shard in numba.prange(owners):
        owner = np.int64(shard)
        for p in range(uv.shape[0]):
            fine, blend = _level(level[p], len(sizes))
            for k in range(fine, fine + (2 if blend > 0 else 1)):
                h, w = sizes[k]
                y0, y1, fy = _taps(uv[p, 1], h)
                mine0 = ((y0 >> ROW_SHIFT) + k) % owners == owner
                mine1 = ((y1 >> ROW_SHIFT) + k) % owners == owner
                if not (mine0 or mine1):
                    continue
                x0, x1, fx = _taps(uv[p, 0], w)
                values = base if k == 0 else rest
                weight = np.float32(1.0) - blend if k == fine else blend
                if mine0:
                    left = offsets[k] + y0 * w + x0
                    right = offsets[k] + y0 * w + x1
                    w1 = weight * (np.float32(1.0) - fy)
                    for c in range(channels):
                        share = w1 * gradient[p, c]
                        values[left, c] += share * (np.float32(1.0) - fx)
                        values[right, c] += share * fx
                if mine1:
                    left = offsets[k] + y1 * w + x0
                    right = offsets[k] + y1 * w + x1
                    w1 = weight * fy
                    for c in range(channels):
                        share = w1 * gradient[p, c]
                        values[left, c] += share * (np.float32(1.0) - fx)
                        values[right, c] += share * fx


@parallel_kernel
def _uv_gradient(base, rest, sizes, offsets, uv, level, gradient, out):
    """Write the gradient to each point's texture coordinate into out [P,2]."""
    count = uv.shape[0]
    channels = gradient.shape[1]
    for chunk in numba.prange((count + CHUNK - 1) // CHUNK):
        start = np.int64(chunk) * CHUNK
        for p in range(start, min(start + CHUNK, count)):
            fine, blend = _level(level[p], len(sizes))
            du = np.float32(0.0)
            dv = np.float32(0.0)
            for k in range(fine, fine + (2 if blend > 0 else 1)):
                h, w = sizes[k]
                values = base if k == 0 else rest
                x0, x1, fx = _taps(uv[p, 0], w)
                y0, y1, fy = _taps(uv[p, 1], h)
                weight = np.float32(1.0) - blend if k == fine else blend
                upper = offsets[k] + y0 * w
                lower = offsets[k] + y1 * w
                along_x = np.float32(0.0)
                along_y = np.float32(0.0)
                for c in range(channels):
                    top = values[upper + x1, c] - values[upper + x0, c]
                    bottom = values[lower + x1, c] - values[lower + x0, c]
                    left = values[lower + x0, c] - values[upper + x0, c]
                    along_x += gradient[p, c] * (top + fy * (bottom - top))
                    along_y += gradient[p, c] * (left + fx * (bottom - top))
                du += weight * np.float32(w) * along_x
                dv += weight * np.float32(h) * along_y
            out[p, 0] = du
            out[p, 1] = dv


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, base, rest, token, uv, level, sizes, sink):
        table, offsets = level_tables(sizes)
        arrays = (base.detach().numpy(), rest.detach().numpy(), table, offsets, uv.detach().numpy(), level.numpy())
        out = torch.empty((len(uv), base.shape[1]))
        _look_up(*arrays, out.numpy())
        ctx.save_for_backward(base, rest, uv, level)
        ctx.tables, ctx.sink = (table, offsets), sink
        return out

    @staticmethod
    def backward(ctx, gradient):
        base, rest, uv, level = ctx.saved_tensors
        table, offsets = ctx.tables
        points = (uv.detach().numpy(), level.numpy(), gradient.contiguous().numpy())
        to_base, to_rest, to_token, to_uv = None, None, None, None
        if ctx.sink is not None and ctx.needs_input_grad[2]:
            into = ctx.sink.buffers(base, rest)
            to_token = torch.zeros(())
        elif ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            into = to_base, to_rest = torch.zeros_like(base), torch.zeros_like(rest)
        else:
            into = None
        if into is not None:
            owners = min(numba.get_num_threads(), 16)
            _scatter(into[0].numpy(), into[1].numpy(), table, offsets, *points, owners)
        if ctx.needs_input_grad[3]:
            to_uv = torch.empty_like(uv)
            _uv_gradient(base.detach().numpy(), rest.detach().numpy(), table, offsets, *points, to_uv.numpy())
        return to_base, to_rest, to_token, to_uv, None, None, None


def texture_numba(pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
    """Trilinear look-up [P,C] of points uv [P,2] at mip level [P] (None: level 0), CPU float32; as `texture_reference`.

    Of a pyramid from `build_pyramid` the gradients go straight to its texture, through one buffer that all look-ups
    of the pyramid share within a backward pass; the pyramid's listed levels get none then. Gradients cannot be
    differentiated again.
    """
    sizes = [(int(values.shape[0]), int(values.shape[1])) for values in pyramid]
    channels = pyramid[0].shape[2]
    sink = None
    base = pyramid[0].reshape(-1, channels)
    if isinstance(pyramid, Pyramid):
        rest, token, sink = pyramid.packed.detach(), pyramid.token, pyramid.sink
        base = base.detach()
    else:
        base = base.contiguous()
        token = torch.zeros(())
        rest = torch.cat([values.reshape(-1, channels) for values in pyramid[1:]] or [base[:0]])
    if level is None:
        level = torch.zeros(len(uv))
        sizes = sizes[:1]
    level = level.detach().to(torch.float32).contiguous()
    return _LookUp.apply(base, rest, token, uv.contiguous(), level, sizes, sink)
