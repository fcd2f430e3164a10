"""The FlexiCubes surface: a scalar field on a deformable grid whose zero level is a differentiable mesh."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import GeometryError
from engine.geometry.flexicubes import fast, reference
from engine.geometry.flexicubes.extraction import Extraction, Implementation, Split
from engine.geometry.flexicubes.gradient_pool import GradientPool

WEIGHTS = 21  # alpha 8, beta 12, gamma 1


class FlexiCubes(nn.Module):
    """Raw parameters of a FlexiCubes grid (Shen et al. 2023) over a box; only the cells at the surface get gradient.

    The outermost corners count as outside whatever their sdf, so that a surface leaving the box is closed at its wall.
    Where the surface jumps to another cell the mesh changes its connectivity, and the gradient does not see that.
    """

    def __init__(self, resolution: int, box: np.ndarray | Tensor):
        """A grid of resolution^3 cells over `box` [2,3] (capture units) with no surface yet.

        Raises GeometryError for a resolution under 3 or a box without volume.
        """
        super().__init__()
        box = torch.as_tensor(np.asarray(box), dtype=torch.float32)
        if resolution < 3:
            raise GeometryError(f"FlexiCubes needs a resolution of at least 3 cells, not {resolution}")
        if box.shape != (2, 3) or not bool(torch.isfinite(box).all()) or not bool((box[1] > box[0]).all()):
            raise GeometryError(f"a FlexiCubes box needs [2,3] numbers, minimum below maximum, not {box.tolist()}")
        self.resolution = resolution
        self._gradients = GradientPool()
        self.register_buffer("box", box)
        corners, cells = (resolution + 1) ** 3, resolution**3
        self.sdf = nn.Parameter(torch.ones(corners))  # [(R+1)^3] in cells, negative inside
        self.deformation = nn.Parameter(torch.zeros(corners, 3))  # raw; a corner moves 0.49 tanh(.) cells
        self.weights = nn.Parameter(torch.zeros(cells, WEIGHTS))  # raw; see extraction.WEIGHT_SCALE

    @classmethod
    def from_field(cls, field: np.ndarray, box: np.ndarray) -> FlexiCubes:
        """The surface of `field` [R+1,R+1,R+1] (signed distance, capture units, [x,y,z], negative inside) in `box`."""
        field = np.asarray(field)
        if field.ndim != 3 or len(set(field.shape)) != 1:
            raise GeometryError(f"a FlexiCubes field needs shape [R+1,R+1,R+1], not {list(field.shape)}")
        if not np.isfinite(field).all():
            raise GeometryError("the field given to FlexiCubes has values that are not finite")
        surface = cls(field.shape[0] - 1, box)
        with torch.no_grad():
            surface.sdf.copy_(torch.from_numpy(np.ascontiguousarray(field, np.float32).reshape(-1)) / surface.cell_size)
        return surface

    @property
    def cell_size(self) -> float:
        """Geometric mean of a cell's edges, capture units; sdf is measured in it."""
        return float(((self.box[1] - self.box[0]) / self.resolution).prod() ** (1 / 3))

    def extract(self, implementation: Implementation = "numba", split: Split = "fan") -> Extraction:
        """The mesh of the zero level with its regularizers.

        split: "fan" puts a gamma-weighted vertex into each quad (four triangles, gamma has gradient), "two" cuts each
        quad along the diagonal with the larger gammas (half the triangles, no gradient to gamma). `numba` is for
        float32 on the CPU; other tensors take the reference. Raises GeometryError if the surface is empty.
        """
        if split not in ("fan", "two"):
            raise GeometryError(f"unknown split {split!r}: use 'fan' or 'two'")
        if implementation == "numba" and self.sdf.device.type == "cpu" and self.sdf.dtype == torch.float32:
            return fast.extract(
                self.sdf, self.deformation, self.weights, self.resolution, self.box, split, self._gradients
            )
        return reference.extract(self.sdf, self.deformation, self.weights, self.resolution, self.box, split)

    def active_rows(self, extraction: Extraction) -> dict[Tensor, Tensor]:
        """Per parameter the rows that `extraction` can give gradient to: what LazyAdam.step needs to read."""
        corners, cells = extraction.active_corners, extraction.active_cells
        return {self.sdf: corners, self.deformation: corners, self.weights: cells}
