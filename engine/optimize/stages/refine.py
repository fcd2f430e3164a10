"""The last optimization: vertices, 2D textures and light together on a fixed topology and unwrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import GeometryError
from engine.exchange import TangentSpace
from engine.geometry.free_mesh import FreeMesh, UniformAdam
from engine.geometry.normals import vertex_normals
from engine.geometry.regularizers import normal_consistency
from engine.optimize.camera_refinement import CameraRefinement
from engine.optimize.metrics import batch_psnr
from engine.optimize.photo_loss import PhotoWeights
from engine.optimize.stage import IteratingStage, StageContext, register
from engine.optimize.stages.stochastic_view import stochastic_term
from engine.optimize.stages.view_pass import PSNR_INTERVAL, ViewPass, compared, light_priors, see, starting_light
from engine.optimize.texture_variation import texture_variation
from engine.optimize.textures import channels, clamp, material_from_texture, quick_material, texture_from_material
from engine.raster.contract import EdgeTable
from engine.raster.texture import build_pyramid, texture_level
from engine.scene import Material, Mesh
from engine.shading.normal_map import bent_normal
from engine.shading.split_sum import PrefilteredLight, shade

TANGENT_INTERVAL = 50  # steps; the tangent frame turns slowly with the surface


@register
class RefineStage(IteratingStage):
    """Optimizes what earlier stages left: FreeMesh vertices, one texture of eight channels, the environment."""

    name = "refine"
    moved = ("vertices", "textures", "light")

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("an unwrapped mesh",)

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a mesh and its light",)

    def begin(self, context: StageContext) -> None:
        self.context, scene, recipe = context, context.scene, context.recipe
        if scene.mesh is None or scene.mesh.uvs is None:
            raise GeometryError("stage refine needs an unwrapped mesh: run the stage mesh or given before it")
        options = recipe.refine
        self.mesh = scene.mesh
        self.triangles = torch.from_numpy(np.ascontiguousarray(scene.mesh.triangles, np.int32))
        self.uvs = torch.from_numpy(np.ascontiguousarray(scene.mesh.uvs, np.float32))
        self.uv_triangles = torch.from_numpy(np.ascontiguousarray(scene.mesh.uv_triangles, np.int32))
        self.edges = EdgeTable.from_triangles(self.triangles, len(scene.mesh.vertices))
        self.surface = FreeMesh(scene.mesh.vertices, scene.mesh.triangles, options.large_steps)
        self.texture = texture_from_material(scene.material or Material()).requires_grad_()
        self.light = starting_light(recipe, context.capture.up, scene.environment)
        ends = scene.mesh.vertices[self.edges.edges.numpy()]
        self.edge_length = float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).mean())
        self.refinement = CameraRefinement(context)
        self.psnr: float | None = None
        self.optimizers = [
            UniformAdam([self.surface.parameter], lr=options.learning_rate * self.edge_length),
            torch.optim.Adam([self.texture], lr=options.learning_rate_texture, fused=True),
            torch.optim.Adam(self.light.parameters(), lr=recipe.light.learning_rate),
        ]
        self.tangent_space = TangentSpace(scene.mesh.triangles, scene.mesh.uvs, scene.mesh.uv_triangles)
        self.tangents = self._tangents(torch.from_numpy(scene.mesh.vertices))

    @property
    def steps(self) -> int:
        return self.context.recipe.refine.steps

    def _tangents(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        mesh = Mesh(vertices.detach().numpy(), self.mesh.triangles)
        tangents = self.tangent_space.tangents(mesh.vertices, mesh.vertex_normals())
        return torch.from_numpy(tangents), torch.from_numpy(self.tangent_space.triangles)

    def _set_rates(self, index: int) -> None:
        options, light = self.context.recipe.refine, self.context.recipe.light
        decay = 0.1 ** (index / max(self.steps, 1))
        rates = (options.learning_rate * self.edge_length, options.learning_rate_texture, light.learning_rate)
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * decay * self.learning_rate_scale

    def _normal(self, seen: ViewPass, normals: Tensor, slope: Tensor) -> Tensor:
        """[P,3] unit shading normals: interpolated vertex normals [P,3] bent by the normal map, in MikkTSpace's
        frame."""
        raster = self.context.rasterizer
        with torch.no_grad():
            tangent = raster.interpolate(self.tangents[0], self.tangents[1], seen.buffer)
        return bent_normal(normals, tangent, slope)

    def materials_at(self, seen: ViewPass) -> Tensor:
        """See `stochastic_view.ViewShading`."""
        return self._samples(seen, self.pyramid)

    def shaded_with(self, seen: ViewPass, normals: Tensor, materials: Tensor) -> Tensor:
        """See `stochastic_view.ViewShading`."""
        return self._shaded(seen, normals, materials, self.lit)

    def _samples(self, seen: ViewPass, pyramid: list[Tensor]) -> Tensor:
        """[P,8] the texture's channels at the covered pixels."""
        raster, size = self.context.rasterizer, tuple(self.texture.shape[:2])
        uv = raster.interpolate(self.uvs, self.uv_triangles, seen.buffer)
        level = texture_level(
            seen.clip.detach(), self.triangles, self.uvs, self.uv_triangles, seen.buffer, seen.buffer.size, size
        )
        return raster.texture(pyramid, uv.detach(), level)

    def _shaded(self, seen: ViewPass, normals: Tensor, samples: Tensor, light: PrefilteredLight) -> Tensor:
        """[P,3] linear radiance under interpolated vertex normals [P,3]."""
        color, roughness, metallic, slope, occlusion = channels(samples)
        normal = self._normal(seen, normals, slope)
        rotation, toward = seen.environment_from_world, seen.toward_camera
        return shade("numba", light, rotation, normal, toward, color, roughness, metallic, occlusion.detach()).color

    def step(self, index: int) -> dict[str, float]:
        context, options = self.context, self.context.recipe.refine
        self.clock.start()
        self._set_rates(index)
        vertices = self.surface.vertices()
        self.clock.lap("surface")
        views = context.views.close_ups(options.batch, options.image_size, vertices.detach().numpy())
        views = [self.refinement.moved(view) for view in views]
        motions = [self.refinement.motion() for _ in views]
        if not options.geometry:
            vertices = vertices.detach()
        self.clock.lap("views")
        if index and index % TANGENT_INTERVAL == 0:
            self.tangents = self._tangents(vertices)
        self.pyramid = pyramid = build_pyramid(self.texture)
        self.clock.lap("textures")
        stochastic = context.recipe.optimize.gradient == "stochastic" and options.geometry
        seen_vertices = vertices.detach() if stochastic else vertices
        passes = see(context.rasterizer, views, seen_vertices, self.triangles, self.light, motions)
        self.clock.lap("visibility")
        normals = vertex_normals(seen_vertices, self.triangles)
        self.lit = light = self.light.prefiltered()
        samples = [self._samples(seen, pyramid) for seen in passes]
        across = [context.rasterizer.interpolate(normals, self.triangles, seen.buffer) for seen in passes]
        colors = [self._shaded(*each, light) for each in zip(passes, across, samples, strict=True)]
        self.clock.lap("shading")
        weights = PhotoWeights(1 - options.ssim, options.mask, options.ssim)
        images, photo, report = compared(
            context.rasterizer, passes, self.triangles, self.edges, colors, weights, context.extra_losses
        )
        self.clock.lap("loss")
        if stochastic:
            held = [values.detach() for values in samples]
            photo = photo + stochastic_term(
                context, self, passes, colors, held, images, photo, vertices, self.triangles, self.light, index,
                index / max(self.steps, 1),
            )  # fmt: skip
            self.clock.lap("stochastic")
        terms = {
            "light": light_priors(context.recipe, self.light),
            "material_smoothness": options.material_smoothness * texture_variation(pyramid[min(1, len(pyramid) - 1)]),
        }
        if options.geometry:
            terms["smoothness"] = options.smoothness * normal_consistency(vertices, self.triangles, self.edges)
        loss = photo + sum(terms.values())
        self.clock.lap("priors")
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.clock.lap("backward")
        for optimizer, enabled in zip(
            self.optimizers, (options.geometry, options.material, options.light), strict=True
        ):
            if enabled:
                optimizer.step()
        with torch.no_grad():
            clamp(self.texture)
        for view, motion in zip(views, motions, strict=True):
            self.refinement.take(view, motion, index / max(self.steps, 1), self.learning_rate_scale)
        self.clock.lap("optimizer")
        report |= {name: float(value.detach()) for name, value in terms.items()} | {"loss": float(loss.detach())}
        if index % PSNR_INTERVAL == 0 or self.psnr is None:
            self.psnr = batch_psnr(images, views)
        return report | {"psnr": self.psnr}

    def preview(self) -> dict[str, Any]:
        kept, source = self.context.kept, self.mesh
        if kept.get("topology", (None, None))[0] is not source:
            kept["topology"] = (source, [part.copy() for part in (source.triangles, source.uvs, source.uv_triangles)])
        with torch.no_grad():
            vertices = self.surface.vertices().numpy().copy()
        return {
            "mesh": Mesh(vertices, *kept["topology"][1]),
            "material": quick_material(self.texture),
            "environment": self.light.environment(),
            "box": None if self.context.scene.box is None else np.array(self.context.scene.box),
        }

    def topology(self) -> tuple[np.ndarray, int]:
        return self.mesh.triangles, len(self.mesh.vertices)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {"texture": self.texture, "tangents": self.tangents[0], "tangent_triangles": self.tangents[1]}
        for name, module in (("surface", self.surface), ("light", self.light)):
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        return tensors | self.refinement.named_state(), {}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        if not self.optimizers:
            self.begin(context)
        with torch.no_grad():
            self.texture.copy_(tensors["texture"])
        self.tangents = (tensors["tangents"].clone(), tensors["tangent_triangles"].clone())
        for name, module in (("surface", self.surface), ("light", self.light)):
            prefix = f"{name}."
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
        self.refinement.restore_named(tensors)

    def finish(self) -> None:
        scene = self.context.scene
        with torch.no_grad():
            vertices = self.surface.vertices().numpy().copy()
        scene.mesh = Mesh(vertices, self.mesh.triangles, self.mesh.uvs, self.mesh.uv_triangles)
        scene.material = material_from_texture(self.texture)
        scene.environment = self.light.environment()
        self.refinement.finish()
