"""Real spherical harmonics of degree 0 to 3 in torch, with the signs of Sloan 2008 that 3DGS files use."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def basis(directions: Tensor, degree: int) -> Tensor:
    """[N,(degree+1)^2] harmonics of unit `directions` [N,3]."""
    x, y, z = directions.unbind(1)
    root = [math.sqrt(k / math.pi) for k in (1, 3, 15, 5, 35 / 2, 105, 21 / 2, 7)]
    terms = [torch.full_like(x, 0.5 * root[0])]
    if degree > 0:
        terms += [-0.5 * root[1] * y, 0.5 * root[1] * z, -0.5 * root[1] * x]
    if degree > 1:
        terms += [0.5 * root[2] * x * y, -0.5 * root[2] * y * z, 0.25 * root[3] * (3 * z * z - 1)]
        terms += [-0.5 * root[2] * x * z, 0.25 * root[2] * (x * x - y * y)]
    if degree > 2:
        terms += [-0.25 * root[4] * y * (3 * x * x - y * y), 0.5 * root[5] * x * y * z]
        terms += [-0.25 * root[6] * y * (5 * z * z - 1), 0.25 * root[7] * z * (5 * z * z - 3)]
        terms += [-0.25 * root[6] * x * (5 * z * z - 1), 0.25 * root[5] * z * (x * x - y * y)]
        terms += [-0.25 * root[4] * x * (x * x - 3 * y * y)]
    return torch.stack(terms, 1)


def colored(means: Tensor, position: Tensor, harmonics: Tensor, degree: int) -> Tensor:
    """[N,3] encoded colour, 0 or more, of splats at `means` [N,3] with `harmonics` [N,K,3] seen from `position` [3]."""
    directions = torch.nn.functional.normalize(means - position, dim=1)
    values = basis(directions, degree)
    return torch.relu(0.5 + torch.einsum("nk,nkc->nc", values, harmonics[:, : values.shape[1]]))
