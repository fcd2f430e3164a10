"""A multi-resolution hash grid (Mueller et al. 2022, arXiv 2201.05989): points in the unit cube to learned features."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.shading.hash_kernels import encode_backward, encode_backward_points, encode_forward

FEATURES = 2  # per level
PRIMES = (1, 2654435761, 805459861)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, points, layout):
        positions = points.detach().to(torch.float32).contiguous().numpy()
        features = np.empty((len(positions), FEATURES * len(layout[1])), np.float32)
        encode_forward(table.detach().numpy(), *layout, positions, features)
        ctx.positions, ctx.layout, ctx.table = positions, layout, table.detach().numpy()
        return torch.from_numpy(features)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        d_features = gradient.contiguous().numpy()
        d_table = d_points = None
        if ctx.needs_input_grad[0]:
            d_table = np.zeros_like(ctx.table)
            encode_backward(*ctx.layout, ctx.positions, d_features, d_table)
            d_table = torch.from_numpy(d_table)
        if ctx.needs_input_grad[1]:
            d_points = np.empty_like(ctx.positions)
            encode_backward_points(ctx.table, *ctx.layout, ctx.positions, d_features, d_points)
            d_points = torch.from_numpy(d_points)
        return d_table, d_points, None


class HashGrid(torch.nn.Module):
    """Features that vary smoothly over space, from coarse dense grids to fine hashed ones.

    Entries start within +-1e-4. Gradients reach the table and the points, of these within the cell they lie in. Coarse
    levels whose corners fit have a table entry each; finer ones share `table_size` entries (a power of two) by hash.
    `numba` is float32 on the CPU and deterministic; `reference` is torch of any dtype and device.
    """

    def __init__(
        self,
        levels: int = 8,
        table_size: int = 2**15,
        coarsest: int = 16,
        finest: int = 256,
        seed: int = 0,
        implementation: Literal["reference", "numba"] = "numba",
    ):
        super().__init__()
        self.implementation = implementation
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        resolutions = np.array([round(coarsest * growth**level) for level in range(levels)])
        dense = (resolutions + 1) ** 3
        sizes = np.minimum(dense, table_size)
        masks = np.where(dense <= table_size, 0, table_size - 1)
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._layout = tuple(array.astype(np.int64) for array in (offsets, resolutions, masks))
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.nn.Parameter((torch.rand(int(sizes.sum()), FEATURES, generator=generator) * 2 - 1) * 1e-4)

    @property
    def width(self) -> int:
        """Number of features of a point."""
        return FEATURES * len(self._layout[1])

    def forward(self, points: Tensor) -> Tensor:
        """Features [P, width] of `points` [P,3] in [0,1], clamped to it."""
        if self.implementation == "numba":
            return _Encode.apply(self.table, points, self._layout)
        return self._encode_reference(points)

    def _encode_reference(self, points: Tensor) -> Tensor:
        features = []
        for offset, resolution, mask in zip(*(array.tolist() for array in self._layout), strict=True):
            position = points.clamp(0, 1) * resolution
            cell = position.detach().long().clamp(max=resolution - 1)
            part = position - cell
            total = 0
            for corner in range(8):
                step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=points.device)
                weight = torch.where(step.bool(), part, 1 - part).prod(-1, keepdim=True)
                x, y, z = (cell + step).unbind(-1)
                if mask:  # 64-bit products keep the low bits that the 32-bit hash keeps
                    where = (x ^ (y * PRIMES[1]) ^ (z * PRIMES[2])) & mask
                else:
                    where = (z * (resolution + 1) + y) * (resolution + 1) + x
                total = total + weight * self.table[offset + where]
            features.append(total)
        return torch.cat(features, -1)
