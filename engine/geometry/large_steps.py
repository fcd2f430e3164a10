"""Large-steps preconditioning (Nicolet, Jacobson, Jakob 2021): optimize u = (I + lambda L) v instead of v."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from engine.geometry import large_steps_cholesky as cholesky


def unique_edges(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    """[E,2] int64 undirected edges, low vertex first, ascending, each once; a triangle's repeated vertex gives none."""
    t = np.asarray(triangles, np.int64)
    pairs = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
    keys = np.unique(pairs.min(1) * vertex_count + pairs.max(1))
    edges = np.stack([keys // vertex_count, keys % vertex_count], 1)
    return edges[edges[:, 0] != edges[:, 1]]


class LargeSteps:
    """The map v -> u = (I + lambda L) v with the combinatorial Laplacian L = degree - adjacency, and its inverse.

    The matrix is factored here, so a solve is exact, keeps no state and costs about 0.1 us per vertex.
    """

    def __init__(
        self,
        triangles: np.ndarray,  # [F,3]
        vertex_count: int,
        smoothness: float,  # lambda, at least 0
        order: np.ndarray,  # [V] elimination order, see elimination_order
    ):
        self.smoothness = float(smoothness)
        self.edges = unique_edges(triangles, vertex_count)
        self.order = np.ascontiguousarray(order, np.int64)
        rank = np.empty(vertex_count, np.int64)
        rank[self.order] = np.arange(vertex_count)
        start, neighbour = cholesky.neighbour_table(rank[self.edges], vertex_count)
        self._factor = cholesky.factor(start, neighbour, self.smoothness)

    @staticmethod
    def elimination_order(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """[V] int64: an order in which the factor stays sparse; keep it to resume, another gives other rounding."""
        start, neighbour = cholesky.neighbour_table(unique_edges(triangles, len(vertices)), len(vertices))
        return cholesky.dissection_order(np.nan_to_num(np.asarray(vertices, np.float64)), start, neighbour)

    def parameter(self, vertices: np.ndarray) -> np.ndarray:
        """u [V,3] float32 of vertices [V,3]."""
        v = np.asarray(vertices, np.float64)
        difference = v[self.edges[:, 0]] - v[self.edges[:, 1]]
        u = v.copy()
        for axis in range(3):
            along = self.smoothness * difference[:, axis]
            u[:, axis] += np.bincount(self.edges[:, 0], along, len(v)) - np.bincount(self.edges[:, 1], along, len(v))
        return u.astype(np.float32)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """(I + lambda L)^-1 right, [V,3] float32."""
        right = np.ascontiguousarray(right, np.float32)
        out = np.empty_like(right)
        cholesky.solve(*self._factor, self.order, right, out)
        return out

    def vertices(self, parameter: Tensor) -> Tensor:
        """v [V,3] of u [V,3], differentiable; the matrix is symmetric, so the gradient is one more solve."""
        return _Solve.apply(parameter, self)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, parameter, system):
        ctx.system = system
        return torch.from_numpy(system.solve(parameter.detach().cpu().numpy())).to(parameter.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return torch.from_numpy(ctx.system.solve(gradient.cpu().numpy())).to(gradient.device), None


class UniformAdam(torch.optim.Optimizer):
    """Adam that divides every coordinate of a parameter by the same number: the largest second moment.

    Dividing each coordinate by its own, as Adam does, would undo the preconditioning (Nicolet et al. 2021).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-12,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.int64)
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                step = int(state["step"])
                mean, square = state["exp_avg"], state["exp_avg_sq"]
                mean.lerp_(parameter.grad, 1 - beta1)
                square.mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                largest = float((square.max() / (1 - beta2**step)).sqrt())  # the only modification to Adam
                parameter.sub_(mean, alpha=group["lr"] / (1 - beta1**step) / (largest + group["eps"]))
        return loss
