"""What an extraction gives back, and the constants that every implementation shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from engine.errors import GeometryError

Split = Literal["fan", "two"]
Implementation = Literal["numba", "reference"]

OFFSET_LIMIT = 0.49  # cells; a corner that moves less than half a cell never passes its neighbour
WEIGHT_SCALE = 0.99  # alpha, beta in 1 +- 0.99, gamma in 0.5 +- 0.495 (Shen et al. 2023)


@dataclass(frozen=True)
class Extraction:
    """A watertight manifold mesh and its regularizers, differentiable with respect to sdf, deformation and weights."""

    vertices: Tensor  # [V,3] capture units, with gradient; with split="fan" the quads' centres follow the dual vertices
    triangles: Tensor  # [F,3] int32, counter-clockwise seen from outside (sdf >= 0)
    l_dev: Tensor  # scalar, cells: mean |distance to the dual vertex - the patch's mean distance| over crossings
    entropy: Tensor  # scalar: mean over crossed grid edges of the cross-entropy of each end's sdf with the other's sign
    active_corners: Tensor  # [C] int64 ascending: rows of sdf and deformation that can have gradient
    active_cells: Tensor  # [A] int64 ascending: rows of weights that can have gradient


def check_not_empty(cells: int, resolution: int) -> None:
    """Raise GeometryError if no cell of the grid is crossed."""
    if cells == 0:
        raise GeometryError(
            f"the iso-surface is empty: the {resolution}^3 field has no value below zero inside its box; "
            "check the masks and the region, or use a higher resolution"
        )
