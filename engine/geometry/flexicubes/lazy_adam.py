"""Adam that touches only the entries with gradient, for parameters of which a step moves a thin shell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numba import prange
from torch import Tensor

from engine.kernels.settings import parallel_kernel

CHUNK = 1024  # rows per iteration: fixed, and rows are independent, so the thread count changes nothing


@parallel_kernel
def _mark_rows(gradient, flags):
    for c_ in prange((gradient.shape[0] + CHUNK - 1) // CHUNK):
        start = np.int64(c_) * CHUNK
        for row in range(start, min(start + CHUNK, gradient.shape[0])):
            found = False
            for k in range(gradient.shape[1]):
                found |= gradient[row, k] != 0
            flags[row] = found


@parallel_kernel
def _update(rows, gradient, parameter, mean, square, count, rate, beta1, beta2, epsilon):
    for c_ in prange((rows.shape[0] + CHUNK - 1) // CHUNK):
        start = np.int64(c_) * CHUNK
        for i in range(start, min(start + CHUNK, rows.shape[0])):
            row = np.int64(rows[i])
            found = False
            for k in range(gradient.shape[1]):
                found |= gradient[row, k] != 0
            if found:
                count[row] += 1
                scale = np.float32(rate / (1.0 - beta1 ** count[row]))
                correction = np.float32(1.0 / math.sqrt(1.0 - beta2 ** count[row]))
                for k in range(gradient.shape[1]):
                    g = gradient[row, k]
                    if g != 0:
                        m = np.float32(beta1) * mean[row, k] + np.float32(1.0 - beta1) * g
                        v = np.float32(beta2) * square[row, k] + np.float32(1.0 - beta2) * g * g
                        mean[row, k] = m
                        square[row, k] = v
                        parameter[row, k] -= scale * m / (math.sqrt(v) * correction + np.float32(epsilon))


def _matrix(tensor: Tensor) -> np.ndarray:
    array = tensor.detach().numpy()
    return array.reshape(array.shape[0], -1)


def _step_reference(parameter: Tensor, group: dict, state: dict) -> None:
    """The same step in plain torch over every entry."""
    gradient = parameter.grad
    if not state:
        state["step"] = torch.zeros(len(gradient), dtype=torch.int32, device=gradient.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    moved = gradient != 0
    state["step"] += moved.reshape(len(gradient), -1).any(1)
    steps = state["step"].clamp_min(1).to(gradient.dtype).reshape(-1, *[1] * (gradient.dim() - 1))
    (beta1, beta2), mean, square = group["betas"], state["exp_avg"], state["exp_avg_sq"]
    mean.copy_(torch.where(moved, mean.lerp(gradient, 1 - beta1), mean))
    square.copy_(torch.where(moved, square.lerp(gradient.square(), 1 - beta2), square))
    change = mean / (1 - beta1**steps) / ((square / (1 - beta2**steps)).sqrt() + group["eps"])
    parameter.sub_(torch.where(moved, group["lr"] * change, 0.0))


class LazyAdam(torch.optim.Optimizer):
    """Adam (Kingma & Ba 2015) for parameters [N,...]: an entry whose gradient is exactly zero is left alone.

    Its parameter and moments stay as they are, and the bias correction counts the steps of each row that had gradient.
    It is therefore not Adam for dense gradients of which some happen to be zero. Untouched state
    costs no memory. float32 on the CPU takes a kernel, everything else plain torch.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None, rows: Mapping[Tensor, Tensor] | None = None):
        """Update every parameter that has a gradient.

        rows: per parameter the only rows [K] int64 (each once) that can have gradient; a hint that saves reading the
        rest, see FlexiCubes.active_rows. Gradient in other rows of such a parameter is ignored.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_one(parameter, group, None if rows is None else rows.get(parameter))
        return loss

    def _step_one(self, parameter: Tensor, group: dict, rows: Tensor | None) -> None:
        state = self.state[parameter]
        if parameter.is_cuda or parameter.dtype != torch.float32:
            _step_reference(parameter, group, state)
            return
        gradient = _matrix(parameter.grad.contiguous())
        if not state:
            state["step"] = torch.from_numpy(np.zeros(len(gradient), np.int32))
            for name in ("exp_avg", "exp_avg_sq"):  # numpy's zeros: pages that are never touched are never there
                state[name] = torch.from_numpy(np.zeros(tuple(parameter.shape), np.float32))
        if rows is None:
            flags = np.empty(len(gradient), np.bool_)
            _mark_rows(gradient, flags)
            active = np.flatnonzero(flags)
        else:
            active = rows.numpy()
        beta1, beta2 = group["betas"]
        _update(
            active, gradient, _matrix(parameter), _matrix(state["exp_avg"]), _matrix(state["exp_avg_sq"]),
            state["step"].numpy(), float(group["lr"]), float(beta1), float(beta2), float(group["eps"]),
        )  # fmt: skip
