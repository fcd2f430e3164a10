"""How far and where parameters are moved: signs of a key times eps, for vertices a set number of pixels on the screen.

A third of a pixel to half of one works for geometry: silhouettes then cross pixel centres often enough, and triangles
stay whole. eps has to stay well under a primitive's size on the screen: a third of it is exact, two thirds badly off.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.kernels.signs import perturb, signs


def focal_lengths(clip_from_world: Tensor | np.ndarray, size: tuple[int, int]) -> tuple[float, float]:
    """(fx, fy) in pixels of a pinhole's clip matrix [4,4] whose w is the camera depth, for an image of (H,W)."""
    matrix = np.asarray(clip_from_world, float)
    forward = matrix[3, :3]
    across, down = (row - row @ forward * forward for row in matrix[:2, :3])
    return 0.5 * size[1] * float(np.linalg.norm(across)), 0.5 * size[0] * float(np.linalg.norm(down))


def vertex_eps(vertices: Tensor, clip_from_world: Tensor | np.ndarray, size: tuple[int, int], eps: float) -> Tensor:
    """[V,1] in the unit of `vertices` [V,3]: what moves each of them `eps` pixels across the screen, eps z / f.

    0, so neither moved nor given a gradient, behind the camera.
    """
    matrix = torch.as_tensor(np.asarray(clip_from_world), dtype=vertices.dtype, device=vertices.device)
    depth = vertices.detach() @ matrix[3, :3] + matrix[3, 3]
    focal = float(np.sqrt(np.prod(focal_lengths(clip_from_world, size))))
    return (depth.clamp_min(0) * (eps / focal))[:, None]


def signs_of(values: Tensor, key: int) -> Tensor:
    """[N,C] signs of `key` for `values` [N,C], in their type and on their device."""
    drawn = torch.from_numpy(signs(key, *values.shape))
    return drawn.to(values.device, values.dtype)


def perturbed(values: Tensor, eps: Tensor | float, key: int) -> tuple[Tensor, Tensor]:
    """(values + eps s, values - eps s) for `values` [N,C], without gradient; eps broadcasts to [N,C]."""
    values = values.detach()
    eps = torch.as_tensor(eps, dtype=values.dtype, device=values.device)
    if values.device.type != "cpu" or values.dtype != torch.float32:
        moved = eps * signs_of(values, key)
        return values + moved, values - moved
    step = eps.reshape((1,) * (2 - eps.dim()) + tuple(eps.shape))
    plus, minus = torch.empty_like(values), torch.empty_like(values)
    perturb(values.contiguous().numpy(), step.contiguous().numpy(), np.uint32(key), plus.numpy(), minus.numpy())
    return plus, minus


def scheduled_eps(first: float, last: float, done: float) -> float:
    """eps after the share `done` (0 to 1) of a run, from `first` to `last` at a constant rate; both positive.

    A larger one at first lets silhouettes reach farther, a smaller one later is less biased.
    """
    return first * (last / first) ** min(max(done, 0.0), 1.0)
