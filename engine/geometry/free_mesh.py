"""A mesh of given topology whose vertices move, in the large-steps parameterization."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import GeometryError
from engine.geometry.large_steps import LargeSteps, UniformAdam

__all__ = ["FreeMesh", "UniformAdam"]


class FreeMesh(nn.Module):
    """Vertices as (I + smoothness L)^-1 parameter (Nicolet et al. 2021); optimize with UniformAdam.

    The topology never changes and nothing prevents self-intersection. A checkpoint loads into a FreeMesh made from any
    mesh with as many vertices and triangles: topology and elimination order come from the checkpoint.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, smoothness: float = 19.0):
        """vertices [V,3] capture units, triangles [F,3]; smoothness (lambda) >= 0, 0 being no preconditioning.

        Raises GeometryError for an empty mesh, an index out of range, or vertices that are not finite.
        """
        super().__init__()
        vertices = np.asarray(vertices, np.float32)
        triangles = np.asarray(triangles, np.int32)
        if len(vertices) == 0 or len(triangles) == 0:
            raise GeometryError("a mesh without triangles cannot be optimized; check the mesh that was given")
        if triangles.min() < 0 or triangles.max() >= len(vertices):
            raise GeometryError(f"a triangle names a vertex outside 0..{len(vertices) - 1}; the mesh is damaged")
        if not np.isfinite(vertices).all():
            raise GeometryError("the mesh has vertices that are not finite; repair it first")
        if not smoothness >= 0:
            raise GeometryError(f"the smoothness of a mesh must be at least 0, not {smoothness}")
        self.register_buffer("triangles", torch.from_numpy(triangles.copy()))  # [F,3] int32
        order = LargeSteps.elimination_order(vertices, triangles)
        self.register_buffer("elimination_order", torch.from_numpy(order))  # [V] int64
        self.register_buffer("smoothness", torch.tensor(float(smoothness), dtype=torch.float64))
        self._system: LargeSteps | None = None
        self.parameter = nn.Parameter(torch.from_numpy(self.system.parameter(vertices)))  # u [V,3]

    @property
    def system(self) -> LargeSteps:
        """The factored matrix, made when first needed after construction or loading."""
        if self._system is None:
            order = self.elimination_order.cpu().numpy()
            self._system = LargeSteps(self.triangles.cpu().numpy(), len(order), float(self.smoothness), order)
        return self._system

    def vertices(self) -> Tensor:
        """[V,3] float32 positions, capture units, differentiable with respect to `parameter`."""
        return self.system.vertices(self.parameter)

    def _load_from_state_dict(self, *arguments, **named):
        super()._load_from_state_dict(*arguments, **named)
        self._system = None
