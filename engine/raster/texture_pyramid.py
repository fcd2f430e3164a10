"""Mip pyramids of textures: 2x2 box averages, differentiable, with one numba kernel each way on CPU."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from engine.kernels.settings import kernel, parallel_kernel

# Levels with fewer values than this are cheaper to average on one thread than to hand out.
PARALLEL_VALUES = 1 << 15


def level_sizes(height: int, width: int, levels: int | None = None) -> list[tuple[int, int]]:
    """The (height, width) of every level; a chain without `levels` ends at 1x1 or before an odd side would be halved.

    Raises ValueError when `levels` asks for halving an odd side: such a texture should have power-of-two sides.
    """
    sizes = [(height, width)]
    while levels is None or len(sizes) < levels:
        h, w = sizes[-1]
        odd = (h > 1 and h % 2) or (w > 1 and w % 2)
        if (h == 1 and w == 1) or odd:
            if levels is None:
                break
            raise ValueError(
                f"a {height}x{width} texture has only {len(sizes)} mip levels, not {levels}; use power-of-two sides"
            )
        sizes.append((max(h // 2, 1), max(w // 2, 1)))
    return sizes


class GradientSink:
    """Where all look-ups of one pyramid add their gradients, so that many views cost one buffer instead of one each."""

    def __init__(self) -> None:
        self.base: Tensor | None = None  # [H*W,C]
        self.rest: Tensor | None = None  # [N,C] levels 1.. one after the other
        self._pass = -1

    def buffers(self, base: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """The buffers of the running backward pass, zeroed when the pass is new (another may have broken off)."""
        running = torch._C._current_graph_task_id()
        if self.base is None or self._pass != running:
            self.base, self.rest, self._pass = torch.zeros_like(base), torch.zeros_like(rest), running
        return self.base, self.rest

    def take(self) -> tuple[Tensor | None, Tensor | None]:
        """The buffers filled by the running backward pass (None without any), which are forgotten here."""
        fresh = self._pass == torch._C._current_graph_task_id()
        taken = (self.base, self.rest) if fresh else (None, None)
        self.base = self.rest = None
        self._pass = -1
        return taken


class Pyramid(list):
    """A list of levels [H/2^i,W/2^i,C] that also keeps levels 1.. packed for the numba look-up.

    The numba look-up sends its gradients to the texture the pyramid was built from, past the listed tensors.
    """

    packed: Tensor  # [N,C] levels 1.., one after the other
    token: Tensor  # scalar that ties look-ups to the pyramid's node in the graph
    sink: GradientSink


@kernel
def _average_row(source, first, fine_h, fine_w, target, start, row, w):
    """One row of a level: each texel the mean of 2x2 (of 2 or 1 where the finer level has a side of one)."""
    channels = source.shape[1]
    upper = first + (row * 2 if fine_h > 1 else 0) * fine_w
    lower = upper + (fine_w if fine_h > 1 else 0)
    right = 1 if fine_w > 1 else 0
    quarter = np.float32(0.25)
    for x in range(w):
        a = upper + x * 2 * right
        b = lower + x * 2 * right
        texel = start + row * w + x
        for c in range(channels):
            total = (source[a, c] + source[a + right, c]) + (source[b, c] + source[b + right, c])
            target[texel, c] = quarter * total


@parallel_kernel
def _average(base, rest, sizes, offsets):
    """Fill levels 1.. (`rest` [N,C], level k from row offsets[k]) from level 0 (`base` [H*W,C])."""
    for level in range(1, len(sizes)):
        h, w = sizes[level]
        fine_h, fine_w = sizes[level - 1]
        source, first = (rest, offsets[level - 1]) if level > 1 else (base, 0)
        if h * w * base.shape[1] >= PARALLEL_VALUES:
            for row in numba.prange(h):
                _average_row(source, first, fine_h, fine_w, rest, offsets[level], np.int64(row), w)
        else:
            for row in range(h):
                _average_row(source, first, fine_h, fine_w, rest, offsets[level], row, w)


@kernel
def _spread_row(target, first, fine_h, fine_w, source, start, row, w):
    channels = source.shape[1]
    upper = first + (row * 2 if fine_h > 1 else 0) * fine_w
    lower = upper + (fine_w if fine_h > 1 else 0)
    right = 1 if fine_w > 1 else 0
    quarter = np.float32(0.25)
    for x in range(w):
        a = upper + x * 2 * right
        b = lower + x * 2 * right
        texel = start + row * w + x
        for c in range(channels):
            share = quarter * source[texel, c]
            target[a, c] += share
            target[a + right, c] += share
            target[b, c] += share
            target[b + right, c] += share


@parallel_kernel
def _spread(base, rest, sizes, offsets):
    """Add a quarter of every level's gradient to the texels it averages, from the coarsest level down to level 0."""
    for step in range(1, len(sizes)):
        level = len(sizes) - step
        h, w = sizes[level]
        fine_h, fine_w = sizes[level - 1]
        target, first = (rest, offsets[level - 1]) if level > 1 else (base, 0)
        if h * w * base.shape[1] >= PARALLEL_VALUES:
            for row in numba.prange(h):
                _spread_row(target, first, fine_h, fine_w, rest, offsets[level], np.int64(row), w)
        else:
            for row in range(h):
                _spread_row(target, first, fine_h, fine_w, rest, offsets[level], row, w)


def level_tables(sizes: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """([L,2] int64 sizes, [L+1] int64 first row of each level among the packed levels 1..; level 0 has none)."""
    table = np.array(sizes, np.int64).reshape(-1, 2)
    offsets = np.zeros(len(sizes) + 1, np.int64)
    offsets[2:] = np.cumsum(table[1:, 0] * table[1:, 1])
    return table, offsets


class _Build(torch.autograd.Function):
    @staticmethod
    def forward(ctx, texture, sizes, sink):
        table, offsets = level_tables(sizes)
        base = texture.detach().reshape(-1, texture.shape[2])
        rest = base.new_empty((int(offsets[-1]), base.shape[1]))
        if len(rest):
            _average(base.numpy(), rest.numpy(), table, offsets)
        ctx.tables, ctx.sink, ctx.shape = (table, offsets), sink, texture.shape
        ctx.set_materialize_grads(False)
        return rest, texture.new_zeros(())

    @staticmethod
    def backward(ctx, rest_gradient, _token):
        table, offsets = ctx.tables
        base, rest = ctx.sink.take()
        if base is None:
            base = torch.zeros((ctx.shape[0] * ctx.shape[1], ctx.shape[2]))
            rest = None if rest_gradient is None else rest_gradient.clone(memory_format=torch.contiguous_format)
        elif rest_gradient is not None:
            rest += rest_gradient
        if rest is not None and len(rest):
            _spread(base.numpy(), rest.numpy(), table, offsets)
        return base.view(ctx.shape), None, None


def _averaged(texture: Tensor) -> Tensor:
    if texture.shape[0] > 1:
        texture = 0.5 * (texture[0::2] + texture[1::2])
    if texture.shape[1] > 1:
        texture = 0.5 * (texture[:, 0::2] + texture[:, 1::2])
    return texture


def build_pyramid(texture: Tensor, levels: int | None = None) -> list[Tensor]:
    """The mip pyramid of a texture [H,W,C], level i [H/2^i,W/2^i,C], by 2x2 box averages; differentiable once.

    Without `levels` the chain ends at 1x1 or at the first odd side. On CPU in float32 numba builds it and the result
    is a `Pyramid`; elsewhere plain torch does. Raises ValueError when `levels` would halve an odd side.
    """
    sizes = level_sizes(texture.shape[0], texture.shape[1], levels)
    if texture.device.type != "cpu" or texture.dtype != torch.float32:
        pyramid = [texture]
        for _ in sizes[1:]:
            pyramid.append(_averaged(pyramid[-1]))
        return pyramid
    texture = texture.contiguous()
    sink = GradientSink()
    rest, token = _Build.apply(texture, sizes, sink)
    listed, first = [texture], 0
    for h, w in sizes[1:]:
        listed.append(rest[first : first + h * w].view(h, w, -1))
        first += h * w
    pyramid = Pyramid(listed)
    pyramid.packed, pyramid.token, pyramid.sink = rest, token, sink
    return pyramid
