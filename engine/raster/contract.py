"""What every rasterizer offers: inputs, outputs, and which inputs get gradients.

One view at a time. Everything after visibility is a compact list of the P covered pixels in row-major order. Not
differentiable: which triangle a pixel shows (coverage repairs that at silhouettes, not where surfaces intersect), the
depth, and the mip level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class VisibilityBuffer:
    """The nearest triangle at every pixel centre, and where on it the pixel lies."""

    triangle_id: Tensor  # [H,W] int32, 0 = background, i+1 = triangle i
    pixel: Tensor  # [P] int64, flat row-major indices of covered pixels, ascending
    triangle: Tensor  # [P] int64, triangle index of each covered pixel
    barycentrics: Tensor  # [P,2] (u, v) weights of vertex 0 and 1, perspective-correct; differentiable wrt clip
    depth: Tensor  # [P] camera depth (clip w); no gradient

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.triangle_id.shape[0], self.triangle_id.shape[1]


@dataclass(frozen=True)
class EdgeTable:
    """Every edge of a mesh once, with what lies on its two sides.

    Of an edge that k > 2 triangles share there are k - 1 rows, one per pair of triangles that follow one another by
    index; the order within a row and of the rows is fixed by the triangles alone.
    """

    edges: Tensor  # [E,2] int32, vertices, the smaller first; rows ascending
    wings: Tensor  # [E,2] int32, the triangles at the edge, the smaller first; -1 = none (boundary)
    opposite: Tensor  # [E,2] int32, each wing's third vertex; -1 = none

    @staticmethod
    def from_triangles(triangles: Tensor, vertex_count: int) -> EdgeTable:
        """The edges of `triangles` [F,3] int32; edges of zero length (a vertex with itself) are left out."""
        if triangles.device.type == "cpu":
            from engine.raster.numba_edges import edge_table

            table = edge_table(triangles.contiguous().to(torch.int32).numpy(), vertex_count)
            return EdgeTable(*(torch.from_numpy(part) for part in table))
        from engine.raster.edges import edge_table_reference

        return EdgeTable(*edge_table_reference(triangles, vertex_count))


class Rasterizer(Protocol):
    """Clip space: w = camera z, y down, pixel = ((x/w + 1) W/2, (y/w + 1) H/2), drawn where w > 0 and |z/w| <= 1.

    Inputs live on one device (CPU for `numba`) and share one float type (float32 for `numba` and `nvdiffrast`).
    """

    name: str

    def visibility(
        self,
        clip: Tensor,  # [V,4]
        triangles: Tensor,  # [F,3] int32
        size: tuple[int, int],  # (H,W) pixels
        cull_backfaces: bool = False,
    ) -> VisibilityBuffer:
        """What every pixel centre sees; barycentrics carry gradients to clip's x, y and w.

        Pixels on a shared edge belong to exactly one of its triangles; of equal depths the smallest index wins.
        Back faces are those whose vertices run clockwise as the viewer sees them.
        """
        ...

    def interpolate(
        self,
        attributes: Tensor,  # [A,C]
        triangles: Tensor,  # [F,3] int32 into attributes; may be another index than the one that was rasterized
        buffer: VisibilityBuffer,
    ) -> Tensor:
        """[P,C] attributes at the covered pixels; gradients to attributes and barycentrics."""
        ...

    def compose(self, values: Tensor, buffer: VisibilityBuffer, background: Tensor) -> Tensor:
        """[H,W,C] image of `values` [P,C] over `background` ([C] or [H,W,C]); gradients to both."""
        ...

    def coverage(
        self, image: Tensor, clip: Tensor, triangles: Tensor, buffer: VisibilityBuffer, edges: EdgeTable
    ) -> Tensor:
        """[H,W,C] `image` [H,W,C] antialiased at silhouettes; gradients to image and to clip's x, y and w.

        `edges` belongs to `triangles`. Append alpha as a channel to get an antialiased mask. Edges that reach behind
        the near plane are left as they are. Source: METHODS.md's silhouette-edge walk.
        """
        ...

    def texture(self, pyramid: list[Tensor], uv: Tensor, level: Tensor | None = None) -> Tensor:
        """[P,C] trilinear look-up at `uv` [P,2]; level [P] (None: the finest); gradients to pyramid and uv.

        pyramid[i] is [H/2^i, W/2^i, C]; origin top-left, texel centres at +0.5, clamped at the border.
        """
        ...
