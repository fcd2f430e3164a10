"""The photo loss's gradient to a mesh by perturbation and credit, with shading that nothing differentiates.

Two groups are perturbed, one after the other: vertex positions, at whose two ends the photo is rasterized and shaded
anew with hard edges, and vertex normals, at whose two ends it is only shaded. Normals that were left to follow the
moved positions would turn by a pixel's fraction over an edge's length, which on fine meshes is far out of the range in
which shading is smooth; how normals follow from positions is known and needs no estimate. Materials stay with their
pixels, as the analytic gradient has it too; materials and light themselves keep autograd, at the unmoved mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.geometry.normals import vertex_normals
from engine.kernels.signs import VERTICES, sign_key
from engine.optimize.stage import StageContext
from engine.optimize.stages.view_pass import ViewPass, see
from engine.raster.contract import Rasterizer
from engine.raster.stochastic.loss import estimate
from engine.raster.stochastic.perturbation import vertex_eps
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.shading.environment import EnvironmentLight

NORMALS = 7  # group of signs
NORMAL_EPS = 0.1  # of unit normals, about 6 degrees
VIEWS = 64  # most photos of a step that have signs of their own


class Shading(Protocol):
    """How a stage shades what is seen; called without autograd."""

    def materials_at(self, seen: ViewPass) -> Tensor:
        """[P,C] materials of the covered pixels."""
        ...

    def shaded_with(self, seen: ViewPass, normals: Tensor, materials: Tensor) -> Tensor:
        """[P,3] linear radiance under vertex normals [V,3] of any length."""
        ...


@dataclass(frozen=True)
class StochasticView:
    """One step's mesh, from which the gradients of all its photos are estimated."""

    rasterizer: Rasterizer
    triangles: Tensor  # [F,3]
    vertices: Tensor  # [V,3], no gradient
    normals: Tensor  # [V,3] unit, no gradient
    light: EnvironmentLight
    shading: Shading | None  # None: masks alone

    def image(self, seen: ViewPass, color: Tensor | None) -> Tensor:
        """[H,W,4] premultiplied colour and alpha, or [H,W,1] alpha, with hard edges."""
        ones = torch.ones(seen.count, 1)
        values = ones if color is None else torch.cat([color, ones], 1)
        return self.rasterizer.compose(values, seen.buffer, torch.zeros(values.shape[1]))

    def to_positions(self, seen: ViewPass, materials: Tensor | None, slope: Tensor, eps: float, key: int) -> Tensor:
        """[V,3] the gradient of one photo's loss, whose slope to the image [H,W,C] is known, to vertex positions."""
        height, width = seen.buffer.size
        held = None
        if materials is not None:
            held = torch.full((height * width, materials.shape[1]), torch.nan)
            held[seen.buffer.pixel] = materials

        def evaluate(moved: Tensor) -> tuple[Tensor, np.ndarray]:
            (drawn,) = see(self.rasterizer, [seen.view], moved, self.triangles, self.light)
            color = None
            if self.shading is not None:
                color = self.shading.shaded_with(drawn, self.normals, self._materials(drawn, held))
            return (self.image(drawn, color) * slope).sum(-1), drawn.buffer.triangle_id.numpy()

        matrix = seen.view.camera.clip_from_world(1.0, 2.0)  # near and far do not count
        step = vertex_eps(self.vertices, matrix, seen.buffer.size, eps)
        return self._credited(self.vertices, step, key, evaluate, seen.buffer.size)

    def _materials(self, drawn: ViewPass, held: Tensor) -> Tensor:
        """[P,C] what is held of the pixels, and looked up where nothing was seen before."""
        found = held[drawn.buffer.pixel]
        fresh = torch.nonzero(torch.isnan(found[:, 0]))[:, 0]
        if len(fresh):
            buffer = drawn.buffer
            parts = {name: getattr(buffer, name)[fresh] for name in ("pixel", "triangle", "barycentrics", "depth")}
            part = replace(
                drawn, buffer=replace(buffer, **parts), position=drawn.position[fresh],
                toward_camera=drawn.toward_camera[fresh],
            )  # fmt: skip
            found[fresh] = self.shading.materials_at(part)
        return found

    def to_normals(self, seen: ViewPass, materials: Tensor, slope: Tensor, key: int) -> Tensor:
        """[V,3] the same to vertex normals."""
        ids = seen.buffer.triangle_id.numpy()

        def evaluate(moved: Tensor) -> tuple[Tensor, np.ndarray]:
            return (self.image(seen, self.shading.shaded_with(seen, moved, materials)) * slope).sum(-1), ids

        return self._credited(self.normals, NORMAL_EPS, key, evaluate, seen.buffer.size)

    def _credited(self, values: Tensor, eps: Tensor | float, key: int, evaluate, size: tuple[int, int]) -> Tensor:
        stencils = Stencils.flat(self.triangles.numpy(), len(self.vertices))
        return estimate(values, eps, key, evaluate, lambda a, b: VertexCredit(a, b, stencils), size)[1]


def stochastic_term(
    context: StageContext,
    shading: Shading | None,  # None: masks alone
    passes: Sequence[ViewPass],
    materials: Sequence[Tensor | None],  # [P,C] of each, no gradient
    images: Sequence[Tensor],  # [H,W,C] of each, of which `photo` was made
    photo: Tensor,  # [] the photo loss
    vertices: Tensor,  # [V,3], differentiable; the passes saw them without gradient
    triangles: Tensor,
    light: EnvironmentLight,
    step: int,
) -> Tensor:
    """A term of value 0 whose gradient to the vertices is the photo loss's, estimated; add it to the loss."""
    fixed = vertices.detach()
    normals = vertex_normals(vertices, triangles)
    view = StochasticView(context.rasterizer, triangles, fixed, normals.detach(), light, shading)
    slopes = torch.autograd.grad(photo, images, retain_graph=True)
    positions, bends = torch.zeros_like(fixed), torch.zeros_like(fixed)
    seed, eps = context.recipe.run.seed, context.recipe.optimize.eps
    for number, (seen, held, slope) in enumerate(zip(passes, materials, slopes, strict=True)):
        turn = step * VIEWS + number % VIEWS
        with torch.no_grad():
            positions += view.to_positions(seen, held, slope, eps, sign_key(seed, turn, VERTICES))
            if shading is not None:
                bends += view.to_normals(seen, held, slope, sign_key(seed, turn, NORMALS))
    return ((vertices - fixed) * positions).sum() + ((normals - view.normals) * bends).sum()
