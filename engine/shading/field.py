"""Materials as a field over space, for surfaces that still change shape and have no texture coordinates."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.shading.hash_grid import HashGrid

SMOOTHNESS_POINTS = 1 << 16  # as many say how smooth the field is


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


class MaterialField(torch.nn.Module):
    """Base colour, roughness and metallic of any point: a hash grid and a small network, ends bounded by sigmoids.

    Starts as grey 0.5, roughness 0.6, metallic 0.05 everywhere. Deterministic for a seed. Gradients
    reach the points too: what a pixel shows changes with the depth of the surface, which is what tells the depth of
    anything with a pattern on it.
    """

    def __init__(
        self,
        box: np.ndarray | Tensor,  # [2,3] minimum and maximum corner of where the surface may be; clamped outside
        seed: int = 0,
        finest: int = 256,  # cells along the box at the finest level
        table_size: int = 2**15,  # entries of a hashed level, a power of two
        hidden: int = 32,  # width of the network
        min_roughness: float = 0.04,
        base_color: float = 0.5,  # initial values
        roughness: float = 0.6,
        metallic: float = 0.05,
        implementation: Literal["reference", "numba"] = "numba",
    ):
        super().__init__()
        self.min_roughness = min_roughness
        self.register_buffer("box", torch.as_tensor(np.asarray(box), dtype=torch.float32).clone())
        self.grid = HashGrid(finest=finest, table_size=table_size, seed=seed, implementation=implementation)
        self.inner = torch.nn.Linear(self.grid.width, hidden)
        self.outer = torch.nn.Linear(hidden, 5)
        generator = torch.Generator().manual_seed(seed + 1)
        start = [_logit(base_color)] * 3 + [_logit((roughness - min_roughness) / (1 - min_roughness)), _logit(metallic)]
        with torch.no_grad():
            for layer in (self.inner, self.outer):
                layer.weight.normal_(0, math.sqrt(2 / layer.in_features), generator=generator)
            self.outer.weight.mul_(0.1)  # near the initial values, and still a gradient to the grid
            self.inner.bias.zero_()
            self.outer.bias.copy_(torch.tensor(start))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(base colour [P,3], roughness [P] from min_roughness, metallic [P]), all up to 1, at world points [P,3]."""
        unit = (points - self.box[0]) / (self.box[1] - self.box[0])
        values = self.outer(torch.relu(self.inner(self.grid(unit)))).sigmoid()
        return values[:, :3], self.min_roughness + (1 - self.min_roughness) * values[:, 3], values[:, 4]

    def smoothness(
        self,
        points: Tensor,  # [P,3] on the surface, world
        materials: tuple[Tensor, Tensor, Tensor],  # forward(points)
        generator: torch.Generator,
        distance: float = 0.005,  # standard deviation of the jitter, in diagonals of the box
    ) -> Tensor:
        """Scalar mean absolute change of the five values to a point nearby (Munkberg et al. 2022, section 4).

        Of more than SMOOTHNESS_POINTS points every second, third ... is taken.
        """
        stride = -(-len(points) // SMOOTHNESS_POINTS) or 1
        points, materials = points[::stride], tuple(values[::stride] for values in materials)
        diagonal = (self.box[1] - self.box[0]).norm()
        jitter = torch.randn(points.shape, generator=generator, dtype=points.dtype) * (distance * diagonal)
        nearby = self(points.detach() + jitter.to(points.device))
        color, roughness, metallic = ((a - b).abs() for a, b in zip(materials, nearby, strict=True))
        return (color.sum(-1) + roughness + metallic).mean() / 5
