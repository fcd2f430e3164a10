"""FlexiCubes with field materials, started from the hull: masks alone first, then masks and colour together.

A joint start of shape and colour from a hull fails where the masks disagree with it (METHODS.md), hence the order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import GeometryError
from engine.geometry.flexicubes import FlexiCubes, LazyAdam
from engine.geometry.normals import vertex_normals
from engine.geometry.regularizers import normal_consistency
from engine.optimize.camera_refinement import CameraRefinement
from engine.optimize.grids import resampled
from engine.optimize.metrics import batch_psnr
from engine.optimize.photo_loss import PhotoWeights
from engine.optimize.scene_preview import field_colors
from engine.optimize.stage import IteratingStage, StageContext, register
from engine.optimize.stages.stochastic_view import stochastic_term
from engine.optimize.stages.view_pass import PSNR_INTERVAL, ViewPass, compared, light_priors, see, starting_light
from engine.raster.contract import EdgeTable
from engine.raster.stochastic.smoothing import with_smooth_gradient
from engine.scene import Mesh
from engine.shading.field import MaterialField
from engine.shading.split_sum import PrefilteredLight, shade

SMOOTHING = 3.0  # of stochastic gradients before they reach FlexiCubes, see `smoothed`


def _packed(materials: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """[P,5] base colour, roughness, metallic."""
    color, roughness, metallic = materials
    return torch.cat([color, roughness[:, None], metallic[:, None]], 1)


def _unpacked(materials: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return materials[:, :3].contiguous(), materials[:, 3].contiguous(), materials[:, 4].contiguous()


@register
class ShapeStage(IteratingStage):
    """Optimizes distance field, cell deformation and weights, a material field and the light."""

    name = "shape"
    moved = ("surface", "materials", "light")

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a distance field",)

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a surface", "a mesh and its light")

    def begin(self, context: StageContext) -> None:
        self.context, scene, recipe = context, context.scene, context.recipe
        if scene.field is None or scene.box is None:
            raise GeometryError("stage shape starts from a distance field: run the stage hull before it")
        self.options = recipe.shape
        self.box = np.asarray(scene.box, np.float64)
        self.surface = FlexiCubes.from_field(resampled(scene.field, self.options.resolution), self.box)
        start = recipe.material
        self.materials = MaterialField(
            self.box, seed=recipe.run.seed, roughness=start.roughness, metallic=start.metallic
        )
        self.light = starting_light(recipe, context.capture.up, scene.environment)
        self.refinement = CameraRefinement(context)
        self.psnr: float | None = None
        self.lit: PrefilteredLight | None = None  # of the last step
        self.extracted: tuple[Tensor, Tensor] | None = None  # vertices and triangles of the last step, for looking at
        self.optimizers = [
            LazyAdam(self.surface.parameters(), lr=self.options.learning_rate),
            torch.optim.Adam(self.materials.parameters(), lr=self.options.learning_rate_field, fused=True),
            torch.optim.Adam(self.light.parameters(), lr=recipe.light.learning_rate),
        ]

    @property
    def steps(self) -> int:
        return self.context.recipe.shape.steps

    def _set_rates(self, index: int) -> None:
        options, light = self.context.recipe.shape, self.context.recipe.light
        decay = 0.1 ** (index / max(self.steps, 1))
        rates = (options.learning_rate, options.learning_rate_field, light.learning_rate)
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * decay * self.learning_rate_scale

    def materials_at(self, seen: ViewPass) -> Tensor:
        """See `stochastic_view.ViewShading`."""
        return _packed(self.materials(seen.position))

    def shaded_with(self, seen: ViewPass, normals: Tensor, materials: Tensor) -> Tensor:
        """See `stochastic_view.ViewShading`."""
        return self._shaded([seen], [normals], _unpacked(materials), self.lit)[0]

    def _shaded(
        self,
        passes: list[ViewPass],
        normals: list[Tensor],
        materials: tuple[Tensor, Tensor, Tensor],
        light: PrefilteredLight,
    ) -> list[Tensor]:
        """Linear radiance [P,3] of each view under its normals [P,3] of any length."""
        rotations = [seen.environment_from_world for seen in passes]
        normal = torch.cat([across @ r.T for across, r in zip(normals, rotations, strict=True)])
        normal = torch.nn.functional.normalize(normal, dim=1)
        toward = torch.cat([seen.toward_camera @ r.T for seen, r in zip(passes, rotations, strict=True)])
        shaded = shade("numba", light, torch.eye(3), normal, toward, *materials, None)
        return list(shaded.color.split([seen.count for seen in passes]))

    def step(self, index: int) -> dict[str, float]:
        context, options = self.context, self.context.recipe.shape
        self.clock.start()
        self._set_rates(index)
        with torch.set_grad_enabled(options.geometry):
            surface = self.surface.extract("numba", split="fan")
        self.extracted = surface.vertices.detach(), surface.triangles
        self.clock.lap("surface")
        views = context.views.close_ups(options.batch, options.image_size, surface.vertices.detach().numpy())
        views = [self.refinement.moved(view) for view in views]
        motions = [self.refinement.motion() for _ in views]
        self.clock.lap("views")
        edges = EdgeTable.from_triangles(surface.triangles, len(surface.vertices))
        stochastic = context.recipe.optimize.gradient == "stochastic" and options.geometry
        vertices = surface.vertices.detach() if stochastic else surface.vertices
        passes = see(context.rasterizer, views, vertices, surface.triangles, self.light, motions)
        self.clock.lap("visibility")
        terms: dict[str, Tensor] = {}
        with_color = index >= options.mask_steps
        colors, counts = [None] * len(passes), [seen.count for seen in passes]
        materials = None
        if with_color:
            point = torch.cat([seen.position for seen in passes])
            materials = self.materials(point)
            normals, raster = vertex_normals(vertices, surface.triangles), context.rasterizer
            across = [raster.interpolate(normals, surface.triangles, seen.buffer) for seen in passes]
            self.lit = self.light.prefiltered()
            colors = self._shaded(passes, across, materials, self.lit)
            variation = self.materials.smoothness(point, materials, context.generator)
            terms["material_smoothness"] = options.material_smoothness * variation
            terms["light"] = light_priors(context.recipe, self.light)
        self.clock.lap("shading")
        weights = PhotoWeights(1.0, options.mask)
        images, photo, report = compared(
            context.rasterizer, passes, surface.triangles, edges, colors, weights, context.extra_losses
        )
        self.clock.lap("loss")
        if stochastic:
            held = [None] * len(passes) if materials is None else _packed(materials).detach().split(counts)
            smooth = with_smooth_gradient(surface.vertices, edges.edges, SMOOTHING)
            photo = photo + stochastic_term(
                context, self if with_color else None, passes, colors, held, images, photo,
                smooth, surface.triangles, self.light, index, index / max(self.steps, 1),
            )  # fmt: skip
            self.clock.lap("stochastic")
        terms["smoothness"] = options.smoothness * normal_consistency(surface.vertices, surface.triangles, edges)
        terms["l_dev"] = options.l_dev * surface.l_dev
        terms["entropy"] = options.entropy * surface.entropy
        loss = photo + sum(terms.values())
        self.clock.lap("priors")
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # masks alone move nothing where the shape is locked
            loss.backward()
        self.clock.lap("backward")
        if options.geometry:
            self.optimizers[0].step(rows=self.surface.active_rows(surface))
        for optimizer, enabled in zip(self.optimizers[1:], (options.material, options.light), strict=True):
            if with_color and enabled:
                optimizer.step()
        for view, motion in zip(views, motions, strict=True):
            self.refinement.take(view, motion, index / max(self.steps, 1), self.learning_rate_scale)
        self.clock.lap("optimizer")
        report |= {name: float(value.detach()) for name, value in terms.items()} | {"loss": float(loss.detach())}
        if with_color:
            if index % PSNR_INTERVAL == 0 or self.psnr is None:
                self.psnr = batch_psnr(images, views)
            report["psnr"] = self.psnr
        return report

    def preview(self) -> dict[str, Any]:
        if self.extracted is None:
            with torch.no_grad():
                surface = self.surface.extract("numba", split="fan")
            self.extracted = surface.vertices, surface.triangles
        mesh = Mesh(*(part.numpy().copy() for part in self.extracted))
        return {
            "mesh": mesh,
            "vertex_colors": field_colors(self.materials, mesh.vertices),
            "environment": self.light.environment(),
            "box": self.box.copy(),
        }

    def figures(self) -> dict[str, float]:
        return {} if self.extracted is None else {"faces": len(self.extracted[1])}

    def topology(self) -> tuple[np.ndarray, int] | None:
        return None if self.extracted is None else (self.extracted[1].numpy(), len(self.extracted[0]))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        modules = {"surface": self.surface, "materials": self.materials, "light": self.light}
        own = {f"{name}.{key}": v for name, module in modules.items() for key, v in module.state_dict().items()}
        return own | self.refinement.named_state(), {}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        if not self.optimizers:
            self.begin(context)
        for name, module in (("surface", self.surface), ("materials", self.materials), ("light", self.light)):
            prefix = f"{name}."
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
        self.refinement.restore_named(tensors)
        self.extracted = None

    def finish(self) -> None:
        scene = self.context.scene
        with torch.no_grad():
            surface = self.surface.extract("numba", split="two")
        scene.mesh = Mesh(surface.vertices.numpy().copy(), surface.triangles.numpy().astype(np.int32))
        scene.tensors |= {f"materials.{key}": value.clone() for key, value in self.materials.state_dict().items()}
        scene.environment = self.light.environment()
        self.refinement.finish()
        if not math.isfinite(scene.mesh.diagonal):
            raise GeometryError("the surface has non-finite vertices; lower shape.learning_rate and resume")
