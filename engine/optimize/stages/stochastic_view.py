"""The photo loss's gradient to a mesh by perturbation and credit, with shading that nothing differentiates.

Two things that a surface does to a photo are perturbed, one after the other. Where it lies: blocks of vertices move
along their normals, the photo is rasterized anew with hard edges, and what counts is which pixels become covered or
uncovered; pixels that go on showing the same surface keep their colour. How it is turned: the normal that each pixel is
shaded with is tilted, and the photo is only shaded anew. How a pixel's normal follows from the vertices is known and
needs no estimate, and would be all noise with one: triangles may be no larger than a pixel. Materials stay with their
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
from engine.raster.stochastic.blocks import VertexBlocks, outline_weights
from engine.raster.stochastic.loss import estimate
from engine.raster.stochastic.perturbation import scheduled_eps, vertex_eps
from engine.raster.stochastic.pixel_credit import PixelCredit
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.shading.environment import EnvironmentLight

NORMALS = 7  # group of signs
NORMAL_EPS = 0.1  # of unit normals, about 6 degrees
VIEWS = 64  # most photos of a step that have signs of their own
BLOCK = 3.5  # pixels, side of the squares in which vertices share a sign
SAME_SURFACE = 3.0  # pixels; what lies nearer to what a pixel showed, in depth, is taken to be the same surface


class ViewShading(Protocol):
    """How a stage shades what is seen; called without autograd."""

    def materials_at(self, seen: ViewPass) -> Tensor:
        """[P,C] materials of the covered pixels."""
        ...

    def shaded_with(self, seen: ViewPass, normals: Tensor, materials: Tensor) -> Tensor:
        """[P,3] linear radiance under normals [P,3] of any length."""
        ...


@dataclass(frozen=True)
class StochasticView:
    """One step's mesh, from which the gradients of all its photos are estimated."""

    rasterizer: Rasterizer
    triangles: Tensor  # [F,3]
    vertices: Tensor  # [V,3], no gradient
    normals: Tensor  # [V,3] unit, no gradient
    light: EnvironmentLight
    shading: ViewShading | None  # None: masks alone

    def image(self, seen: ViewPass, color: Tensor | None) -> Tensor:
        """[H,W,4] premultiplied colour and alpha, or [H,W,1] alpha, with hard edges."""
        ones = torch.ones(seen.count, 1)
        values = ones if color is None else torch.cat([color, ones], 1)
        return self.rasterizer.compose(values, seen.buffer, torch.zeros(values.shape[1]))

    def to_positions(self, seen: ViewPass, color: Tensor | None, slope: Tensor, eps: float, key: int) -> Tensor:
        """[V,3] the gradient of one photo's loss, whose slope to the image [H,W,C] is known, to vertex positions.

        color: [P,3] what the photo shows, None for masks alone; eps: pixels.
        """
        size = seen.buffer.size
        matrix = seen.view.camera.clip_from_world(1.0, 2.0)  # near and far do not count
        step = vertex_eps(self.vertices, matrix, size, eps)
        places = pixel_positions(seen.clip, size).numpy()
        blocks, triangles = VertexBlocks.of(places, BLOCK, key), self.triangles.numpy()
        stencils = blocks.stencils(triangles)
        index, outward = torch.from_numpy(blocks.block).long(), self.normals * step
        same = SAME_SURFACE * float(step.median()) / eps
        held = None
        if color is not None:
            held = torch.full((size[0] * size[1], 4), torch.nan)
            held[seen.buffer.pixel, :3] = color
            held[seen.buffer.pixel, 3] = seen.buffer.depth
        sides: list[tuple[np.ndarray, ...]] = []

        def evaluate(moved: Tensor) -> tuple[Tensor, np.ndarray]:
            points = self.vertices + outward * moved[index]
            (drawn,) = see(self.rasterizer, [seen.view], points, self.triangles, self.light)
            loss = (self.image(drawn, None if held is None else self._shown(drawn, held, same)) * slope).sum(-1)
            depth = torch.full((size[0] * size[1],), torch.inf)
            depth[drawn.buffer.pixel] = drawn.buffer.depth
            sides.append((loss.numpy(), drawn.buffer.triangle_id.numpy(), depth.view(size).numpy()))
            return loss, sides[-1][1]

        still = torch.zeros(blocks.count, 1)
        slopes = estimate(still, 1.0, key, evaluate, lambda a, b: VertexCredit(a, b, stencils), size)[1]
        losses, ids, depths = zip(*sides, strict=True)
        weights = outline_weights(*losses, ids, depths, Stencils.flat(triangles, len(places)))
        shares = torch.from_numpy(blocks.shares(slopes.numpy(), weights))[:, None]
        return self.normals * torch.where(step > 0, shares / step, 0.0)

    def _shown(self, drawn: ViewPass, held: Tensor, same: float) -> Tensor:
        """[P,3] what pixels showed before, and shaded where there was nothing or another surface."""
        found = held[drawn.buffer.pixel]
        color, near = found[:, :3].contiguous(), (found[:, 3] - drawn.buffer.depth).abs() <= same  # not where NaN
        fresh = torch.nonzero(~near)[:, 0]
        if len(fresh):
            buffer = drawn.buffer
            parts = {name: getattr(buffer, name)[fresh] for name in ("pixel", "triangle", "barycentrics", "depth")}
            part = replace(
                drawn, buffer=replace(buffer, **parts), position=drawn.position[fresh],
                toward_camera=drawn.toward_camera[fresh],
            )  # fmt: skip
            normals = self.rasterizer.interpolate(self.normals, self.triangles, part.buffer)
            color[fresh] = self.shading.shaded_with(part, normals, self.shading.materials_at(part))
        return color

    def to_normals(self, seen: ViewPass, normals: Tensor, materials: Tensor, slope: Tensor, key: int) -> Tensor:
        """[P,3] the same to the unit normals [P,3] of the pixels, across them."""
        size = (seen.count, 1)
        first, second = tangents(normals)
        weight = slope.reshape(-1, slope.shape[-1])[seen.buffer.pixel, :3]

        def evaluate(moved: Tensor) -> tuple[Tensor, None]:
            tilted = normals + moved[:, :1] * first + moved[:, 1:] * second
            return (self.shading.shaded_with(seen, tilted, materials) * weight).sum(1, keepdim=True), None

        still = torch.zeros(seen.count, 2)
        slopes = estimate(still, NORMAL_EPS, key, evaluate, lambda a, b: PixelCredit(size), size)[1]
        return slopes[:, :1] * first + slopes[:, 1:] * second


def pixel_positions(clip: Tensor, size: tuple[int, int]) -> Tensor:
    """[V,2] where clip positions [V,4] lie in an image of (height, width), in pixels; nonsense behind the camera."""
    depth = torch.where(clip[:, 3:] > 0, clip[:, 3:], 1.0)
    return ((clip[:, :2] / depth).clamp(-2, 2) + 1) * 0.5 * torch.tensor([size[1], size[0]])


def tangents(normals: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors [P,3] each across unit `normals` [P,3] and each other. Source: Duff et al. 2017, JCGT 6(1)."""
    x, y, z = normals.unbind(1)
    sign = torch.where(z < 0, -1.0, 1.0)
    a = -1 / (sign + z)
    b = x * y * a
    return torch.stack([1 + sign * x * x * a, sign * b, -sign * x], 1), torch.stack([b, sign + y * y * a, -y], 1)


def stochastic_term(
    context: StageContext,
    shading: ViewShading | None,  # None: masks alone
    passes: Sequence[ViewPass],
    colors: Sequence[Tensor | None],  # [P,3] of each, as shaded
    materials: Sequence[Tensor | None],  # [P,C] of each, no gradient
    images: Sequence[Tensor],  # [H,W,C] of each, of which `photo` was made
    photo: Tensor,  # [] the photo loss
    vertices: Tensor,  # [V,3], differentiable; the passes saw them without gradient
    triangles: Tensor,
    light: EnvironmentLight,
    step: int,
    done: float,  # share of the stage's steps
) -> Tensor:
    """A term of value 0 whose gradient to the vertices is the photo loss's, estimated; add it to the loss."""
    fixed, raster = vertices.detach(), context.rasterizer
    normals = vertex_normals(vertices, triangles)
    view = StochasticView(raster, triangles, fixed, normals.detach(), light, shading)
    slopes = torch.autograd.grad(photo, images, retain_graph=True)
    positions, term = torch.zeros_like(fixed), torch.zeros(())
    options = context.recipe.optimize
    eps = scheduled_eps(options.eps, options.eps_end or options.eps, done)
    for number, (seen, color, held, slope) in enumerate(zip(passes, colors, materials, slopes, strict=True)):
        turn = (context.recipe.run.seed, step * VIEWS + number % VIEWS)
        color = None if color is None else color.detach()
        with torch.no_grad():
            positions += view.to_positions(seen, color, slope, eps, sign_key(*turn, VERTICES))
        if shading is not None:
            across = torch.nn.functional.normalize(raster.interpolate(normals, triangles, seen.buffer), dim=1)
            with torch.no_grad():
                bend = view.to_normals(seen, across.detach(), held, slope, sign_key(*turn, NORMALS))
            term = term + ((across - across.detach()) * bend).sum()
    return term + ((vertices - fixed) * positions).sum()
