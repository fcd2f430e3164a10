"""One smoothing of noisy vertex gradients over the mesh, for surfaces whose topology changes every step.

Where it does not change, large steps (Nicolet et al. 2021) do the same with a matrix that is factored once.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.kernels.settings import kernel, parallel_kernel

ITERATIONS = 12


@kernel
def _neighbours(edges, vertex_count):
    """(start [V+1], neighbour [2E]) of undirected edges [E,2]."""
    start = np.zeros(vertex_count + 1, np.int32)
    for e in range(edges.shape[0]):
        start[edges[e, 0] + 1] += 1
        start[edges[e, 1] + 1] += 1
    for v in range(vertex_count):
        start[v + 1] += start[v]
    place = start.copy()
    neighbour = np.empty(2 * edges.shape[0], np.int32)
    for e in range(edges.shape[0]):
        for end in range(2):
            v = edges[e, end]
            neighbour[place[v]] = edges[e, 1 - end]
            place[v] += 1
    return start, neighbour


@parallel_kernel
def _sweep(start, neighbour, strength, right, present, before, weight, out):
    """out = before + weight (jacobi(present) - before) for the matrix I + strength L."""
    for v_ in prange(right.shape[0]):
        v = np.int64(v_)
        inverse = np.float32(1.0) / (np.float32(1.0) + strength * np.float32(start[v + 1] - start[v]))
        for k in range(right.shape[1]):
            total = np.float32(0.0)
            for slot in range(start[v], start[v + 1]):
                total += present[neighbour[slot], k]
            out[v, k] = before[v, k] + weight * ((right[v, k] + strength * total) * inverse - before[v, k])


def smoothed(values: np.ndarray, edges: np.ndarray, strength: float, iterations: int = ITERATIONS) -> np.ndarray:
    """[V,C] float32: about (I + strength L)^-1 `values` [V,C], L the combinatorial Laplacian of `edges` [E,2].

    Jacobi with Chebyshev acceleration, a fixed number of iterations, so the same bits on any number of threads. Few of
    them reach few vertices far: that is enough to average noise, not to solve for a strength over about a hundred.
    """
    right = np.ascontiguousarray(values, np.float32)
    if not strength > 0:
        return right
    start, neighbour = _neighbours(np.ascontiguousarray(edges, np.int32), len(right))
    degree = float(np.diff(start).max(initial=0))
    radius = strength * degree / (1 + strength * degree)  # bounds the Jacobi iteration's eigenvalues
    before = present = np.zeros_like(right)  # what is left unsolved is then smooth, not noise
    weight = 1.0
    for number in range(iterations):
        weight = 1.0 if number == 0 else (2 / (2 - radius**2) if number == 1 else 4 / (4 - radius**2 * weight))
        following = np.empty_like(right)
        _sweep(start, neighbour, np.float32(strength), right, present, before, np.float32(weight), following)
        before, present = present, following
    return present


class _Smoothed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, edges: Tensor, strength: float) -> Tensor:
        ctx.edges, ctx.strength = edges, strength
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx, incoming: Tensor):
        found = smoothed(incoming.cpu().numpy(), ctx.edges.cpu().numpy(), ctx.strength)
        return torch.from_numpy(found).to(incoming.device), None, None


def with_smooth_gradient(values: Tensor, edges: Tensor, strength: float) -> Tensor:
    """`values` [V,C] as they are, but the gradient that comes back through them is `smoothed` over `edges` [E,2]."""
    return _Smoothed.apply(values, edges, strength)
