"""Adam over splats: one group per parameter, and a slower rate for what colour owes to direction."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from engine.kernels.settings import parallel_kernel

CHUNKS = 64
BETAS, EPS = (0.9, 0.999), 1e-15
DIRECTIONAL = 0.05  # of the rate, for harmonics above degree 0 (Kerbl et al. 2023)


@parallel_kernel
def adam_rows(values, slopes, first, second, rates, beta1, beta2, correction, eps):
    """One step on [N,D] `values` with `rates` [D] over 1 - beta1^t; `correction` is 1 over the root of 1 - beta2^t."""
    count, width = values.shape
    step = (count + CHUNKS - 1) // CHUNKS
    one = np.float32(1)
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        for i in range(chunk * step, min((chunk + 1) * step, count)):
            for k in range(width):
                slope = slopes[i, k]
                m = beta1 * first[i, k] + (one - beta1) * slope
                v = beta2 * second[i, k] + (one - beta2) * slope * slope
                first[i, k], second[i, k] = m, v
                values[i, k] -= rates[k] * m / (np.float32(np.sqrt(v)) * correction + eps)


class SplatAdam(torch.optim.Adam):
    """torch's Adam with the same state; on the CPU the step is one pass over memory."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        groups = [{"params": [tensor], "name": name, "lr": 0.0} for name, tensor in tensors.items()]
        super().__init__(groups, betas=BETAS, eps=EPS)

    @torch.no_grad()
    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)

    def _step(self, parameter: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        count, (beta1, beta2) = float(state["step"]), group["betas"]
        width = parameter[0].numel() if len(parameter) else 1
        rates = np.full(width, group["lr"] / (1 - beta1**count), np.float32)
        if group["name"] == "harmonics":
            rates[3:] *= DIRECTIONAL
        correction = 1 / (1 - beta2**count) ** 0.5
        tensors = parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"]
        plain = parameter.device.type == "cpu" and parameter.dtype == torch.float32
        if plain and all(t.is_contiguous() for t in tensors):
            arrays = (t.detach().numpy().reshape(len(parameter), width) for t in tensors)
            adam_rows(*arrays, rates, *(np.float32(x) for x in (beta1, beta2, correction, group["eps"])))
            return
        _, slope, first, second = tensors
        first.lerp_(slope, 1 - beta1)
        second.mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
        moved = first / (second.sqrt() * correction + group["eps"])
        parameter -= torch.from_numpy(rates).to(parameter).view_as(parameter[0]) * moved
