"""Large steps on the GPU: (I + lambda L) x = b by Chebyshev-accelerated Jacobi."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import compose

GROUP = 64  # invocations
ALIGNED = 256  # bytes between two uniforms of one buffer


def chebyshev_weights(largest_degree: int, smoothness: float, iterations: int) -> tuple[float, list[float]]:
    """(Jacobi damping theta, omega of each iteration) for the spectrum of D^-1 (I + lambda L).

    With D the diagonal it lies in [1 / (1 + lambda d), 1 + lambda d / (1 + lambda d)] for the largest degree d. The
    weights are those of the semi-iteration of Golub and Varga (1961): whatever the number of iterations, the result is
    a symmetric positive operator of b in the metric of D, so that it never turns a descent direction into an ascent.
    """
    diagonal = 1 + smoothness * largest_degree
    low, high = 1 / diagonal, 2 - 1 / diagonal
    radius = (high - low) / (high + low)
    omega, weights = 1.0, [1.0]
    for index in range(1, iterations):
        omega = 2 / (2 - radius**2) if index == 1 else 4 / (4 - radius**2 * omega)
        weights.append(omega)
    return 2 / (high + low), weights


class LargeStepsSolver:
    """Encodes solves for one mesh; three buffers of the caller's serve any number of them."""

    def __init__(self, gpu: Gpu, neighbours: Any, vertices: int, largest_degree: int, smoothness: float, count: int):
        """neighbours: storage buffer as `topology.neighbours`; count: iterations per solve, at least 1."""
        self.gpu, self.neighbours, self.vertices = gpu, neighbours, vertices
        source = compose("large_steps")
        self._begin, self._iterate = gpu.compute(source, "begin"), gpu.compute(source, "iterate")
        theta, omegas = chebyshev_weights(largest_degree, smoothness, count)
        rows = np.zeros((count, ALIGNED // 4), np.float32)
        rows[:, 1], rows[:, 2] = theta, smoothness
        rows[:, 0] = omegas
        if count > 1:
            rows[1, 0] *= -1
        rows[:, 3] = np.full(count, vertices, np.uint32).view(np.float32)
        self._uniforms = gpu.buffer(rows, usage=UNIFORM, label="solver")
        self.count = count
        self._bound: dict[tuple, Any] = {}

    def encode(self, compute_pass: Any, right: Any, first: Any, second: Any) -> Any:
        """Encode one solve into an open compute pass; returns whichever of `first` and `second` holds the solution.

        right, first, second: storage buffers, vec4f [V]; `right` is kept, the others are overwritten.
        """
        groups = -(-self.vertices // GROUP)
        dispatch = self.gpu.dispatch
        dispatch(compute_pass, self._begin, [self._group(self._begin, 0, right, None, first)], groups)
        solution, other = first, second
        for index in range(1, self.count):
            group = self._group(self._iterate, index, right, solution, other)
            dispatch(compute_pass, self._iterate, [group], groups)
            solution, other = other, solution
        return solution

    def _group(self, pipeline: Any, index: int, right: Any, solution: Any, other: Any) -> Any:
        key = (index, id(right), id(solution), id(other))
        group = self._bound.get(key)
        if group is None:
            resources = {
                0: (self._uniforms, index * ALIGNED, 16),
                1: right,
                3: other,
                4: self.neighbours,
            }
            if solution is not None:
                resources[2] = solution
            group = self._bound[key] = self.gpu.bind(pipeline, resources)
        return group
