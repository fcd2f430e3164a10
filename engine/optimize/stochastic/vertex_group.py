"""The vertices as a group of parameters: credited to one-rings, smoothed by large steps, moved by uniform Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.wgsl import compose
from engine.optimize.stochastic.memory import GROUP, LoopMemory, padded
from engine.optimize.stochastic.solver import LargeStepsSolver


class VertexGroup:
    """Moves `memory.positions` along (I + lambda L)^-2 of the credited gradient's mean.

    Large steps optimize u = (I + lambda L) v, whose gradient is one solve and whose move takes another one back to v.
    Adam's mean is linear and its divisor one number, so that both solves can come before it.
    """

    name = "vertices"
    credit = "credit_vertices"
    moves_geometry = True

    def __init__(self, memory: LoopMemory) -> None:
        self.memory, gpu = memory, memory.gpu
        options, count = memory.options, memory.vertex_count
        size = 16 * count
        self._gradient, self._first, self._second, self._mean, self._square = (
            gpu.buffer(size, label=f"vertex {what}") for what in ("gradient", "solution", "solution", "mean", "square")
        )
        self._largest = gpu.buffer(16, label="largest moment")
        self._solver = LargeStepsSolver(
            gpu, memory.neighbours, count, memory.largest_degree, options.smoothness, options.iterations
        )
        self._gather = gpu.compute(memory.composed("vertex_gradient"), "vertex_gradient")
        source = compose("uniform_adam")
        self._moments, self._move = gpu.compute(source, "moments"), gpu.compute(source, "move_vertices")
        self._bound: dict[Any, Any] = {}
        self.recursive = options.recursion < 1
        self.recalls = False  # whether there is an estimate to go on from
        if self.recursive:
            self._last, self._kept, self._before, self._estimate = (
                gpu.buffer(size, label=f"vertices {what}") for what in ("before", "kept", "gradient there", "estimate")
            )
            self._recursive = gpu.compute(compose("recursive_gradient"), "recursive_gradient")

    def clear(self, encoder: Any) -> None:
        """Encode what has to be zero before the step."""
        encoder.clear_buffer(self._largest, 0, 16)

    def encode(self, compute_pass: Any, view: int) -> None:
        """Encode the step from the credited sums to the moved vertices."""
        self.encode_gradient(compute_pass, view)
        if self.recursive:
            self._encode_recursive(compute_pass)
        smooth = self._solver.encode(compute_pass, self._gradient, self._first, self._second)
        rest = self._second if smooth is self._first else self._first
        smooth = self._solver.encode(compute_pass, smooth, self._gradient, rest)
        memory, dispatch, groups = self.memory, self.memory.gpu.dispatch, -(-self.memory.vertex_count // GROUP)
        if "moments" not in self._bound:
            bind, step = memory.gpu.bind, memory.step
            resources = {0: step, 2: smooth, 3: self._mean, 4: self._square, 5: self._largest}
            self._bound["moments"] = bind(self._moments, resources)
            self._bound["move"] = bind(self._move, {0: step, 3: self._mean, 5: self._largest, 6: memory.positions})
        dispatch(compute_pass, self._moments, [self._bound["moments"]], groups)
        dispatch(compute_pass, self._move, [self._bound["move"]], groups)

    def _encode_recursive(self, compute_pass: Any) -> None:
        memory = self.memory
        if "recursive" not in self._bound:
            resources = {0: memory.step, 2: self._gradient, 3: self._before, 4: self._estimate}
            self._bound["recursive"] = memory.gpu.bind(self._recursive, resources)
        groups = -(-memory.vertex_count // GROUP)
        memory.gpu.dispatch(compute_pass, self._recursive, [self._bound["recursive"]], groups)

    def encode_return(self, encoder: Any) -> None:
        """Encode going back to where the vertices were one step before, for the same sample's gradient there."""
        size = self.memory.positions.size
        encoder.copy_buffer_to_buffer(self.memory.positions, 0, self._kept, 0, size)
        encoder.copy_buffer_to_buffer(self._last, 0, self.memory.positions, 0, size)

    def encode_forth(self, encoder: Any) -> None:
        """Encode keeping that gradient and going to where the vertices are."""
        size = self.memory.positions.size
        encoder.copy_buffer_to_buffer(self._gradient, 0, self._before, 0, size)
        encoder.copy_buffer_to_buffer(self._kept, 0, self.memory.positions, 0, size)

    def encode_place(self, encoder: Any) -> None:
        """Encode noting where the vertices are before they move."""
        encoder.copy_buffer_to_buffer(self.memory.positions, 0, self._last, 0, self.memory.positions.size)
        self.recalls = True

    def encode_gradient(self, compute_pass: Any, view: int) -> Any:
        """Encode the gradient of the step's loss; returns its buffer, vec4f [V]."""
        memory = self.memory
        if view not in self._bound:
            resources = {
                0: memory.step,
                1: memory.view_uniform(view),
                2: memory.positions,
                3: memory.readers,
                4: self._gradient,
                8: memory.sums,
            }
            self._bound[view] = memory.gpu.bind(self._gather, resources)
        memory.gpu.dispatch(compute_pass, self._gather, [self._bound[view]], -(-memory.vertex_count // GROUP))
        return self._gradient

    def rate(self, rate: float) -> float:
        """The largest move in world units for `rate` in mean edge lengths."""
        return rate * self.memory.edge_length

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of the parameters and Adam's moments."""
        memory, count = self.memory, self.memory.vertex_count
        read = memory.gpu.read
        state = {
            "positions": read(memory.positions, np.float32, (count, 4))[:, :3].copy(),
            "mean": read(self._mean, np.float32, (count, 4)),
            "square": read(self._square, np.float32, (count, 4)),
        }
        if self.recursive and self.recalls:
            state["last"] = read(self._last, np.float32, (count, 4))
            state["estimate"] = read(self._estimate, np.float32, (count, 4))
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` returned."""
        write = self.memory.gpu.write
        write(self.memory.positions, padded(state["positions"]))
        write(self._mean, state["mean"])
        write(self._square, state["square"])
        self.recalls = self.recursive and "estimate" in state
        if self.recalls:
            write(self._last, state["last"])
            write(self._estimate, state["estimate"])
