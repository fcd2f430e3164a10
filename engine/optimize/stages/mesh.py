"""From the iso-surface to a textured mesh: keep the large components, simplify, unwrap, bake the material field."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from engine.errors import GeometryError
from engine.exchange.tangents import tangent_attributes
from engine.geometry.bake_surface import dilate, surface_texels
from engine.geometry.simplify import remove_small_components, simplify
from engine.geometry.unwrap import UnwrapOptions, unwrap
from engine.optimize.stage import Stage, StageContext, register
from engine.optimize.textures import CHANNELS, MAX_SLOPE, SLOPE, clamp, material_from_texture
from engine.raster.rays import RayCaster
from engine.scene import Mesh
from engine.shading.field import MaterialField
from engine.shading.occlusion import ambient_occlusion


@register
class MeshStage(Stage):
    """Turns the dense iso-surface with its material field into a budgeted mesh with 2D textures."""

    name = "mesh"

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a surface",)

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("an unwrapped mesh",)

    def begin(self, context: StageContext) -> None:
        self.context = context

    def finish(self) -> None:
        context, scene, options = self.context, self.context.scene, self.context.recipe.mesh
        if scene.mesh is None or not len(scene.mesh.triangles):
            raise GeometryError("stage mesh needs a surface: run the stages hull and shape before it")
        dense = remove_small_components(scene.mesh, options.component_share)
        context.progress(self.name, 0.05, f"simplifying {len(dense.triangles):,} faces to {options.faces:,}")
        mesh = simplify(dense, options.faces, context.notice)
        context.progress(self.name, 0.15, f"unwrapping {len(mesh.triangles):,} faces")
        unwrapping = UnwrapOptions(options.face_cap, options.texture_size, options.padding)
        mesh = unwrap(
            mesh,
            unwrapping,
            lambda _done, _total, text: context.progress(self.name, 0.15, text),
            context.cancelled,
        )
        context.progress(self.name, 0.7, "baking textures")
        scene.mesh = mesh
        scene.material = material_from_texture(self._baked(mesh, dense))
        for key in [key for key in scene.tensors if key.startswith("materials.")]:
            del scene.tensors[key]
        context.progress(self.name, 1.0, "mesh is ready")

    @torch.no_grad()
    def _baked(self, mesh: Mesh, dense: Mesh) -> torch.Tensor:
        """[S,S,8] texture from the material field, the dense surface's normals and ambient occlusion."""
        context, options = self.context, self.context.recipe.mesh
        size = options.texture_size
        surface = surface_texels(mesh, (size, size))
        positions = np.ascontiguousarray(surface.positions, np.float32)
        texel = np.zeros((len(positions), CHANNELS), np.float32)
        base_color, roughness, metallic = self._field().forward(torch.from_numpy(positions))
        texel[:, :3], texel[:, 3], texel[:, 4] = base_color.numpy(), roughness.numpy(), metallic.numpy()
        context.progress(self.name, 0.8, "baking normals")
        texel[:, SLOPE] = self._slopes(mesh, dense, surface)
        texel[:, 7] = 1.0
        if options.occlusion_rays:
            context.progress(self.name, 0.85, "casting occlusion rays")
            # At the corners of the dense surface, which is smooth, then spread to texels: texels outnumber them.
            normals = dense.vertex_normals()
            caster = RayCaster(dense.vertices, dense.triangles)
            open_share = ambient_occlusion(
                caster, dense.vertices, normals, rays=options.occlusion_rays, seed=context.recipe.run.seed
            )
            texel[:, 7] = _spread(dense.vertices, open_share[:, None], positions)[:, 0]
        texture = np.zeros((size, size, CHANNELS), np.float32)
        filled = np.zeros((size, size), bool)
        texture.reshape(-1, CHANNELS)[surface.texel] = texel
        filled.reshape(-1)[surface.texel] = True
        return clamp(torch.from_numpy(np.ascontiguousarray(dilate(texture, filled))))

    def _field(self) -> MaterialField:
        prefix = "materials."
        state = {k[len(prefix) :]: v for k, v in self.context.scene.tensors.items() if k.startswith(prefix)}
        field = MaterialField(np.asarray(self.context.scene.box), seed=self.context.recipe.run.seed)
        field.load_state_dict(state)
        return field

    def _slopes(self, mesh: Mesh, dense: Mesh, surface) -> np.ndarray:
        """[T,2] tangent-space slopes of the dense surface's normals at the texels of `mesh`."""
        target = _spread(dense.vertices, dense.vertex_normals(), surface.positions)
        normals = mesh.vertex_normals()
        tangents, tangent_triangles = tangent_attributes(mesh, normals)
        weight = np.column_stack([surface.barycentrics, 1 - surface.barycentrics.sum(1)])[:, :, None]
        normal = (normals[mesh.triangles[surface.triangle]] * weight).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        corner = tangents[tangent_triangles[surface.triangle]]
        tangent = (corner[..., :3] * weight).sum(1)
        bitangent = corner[:, :1, 3] * np.cross(normal, tangent)
        up = np.maximum((target * normal).sum(1), 0.2)
        slopes = np.stack([(target * tangent).sum(1), (target * bitangent).sum(1)], 1) / up[:, None]
        return np.clip(slopes, -MAX_SLOPE, MAX_SLOPE)


def _spread(points: np.ndarray, values: np.ndarray, targets: np.ndarray, neighbours: int = 4) -> np.ndarray:
    """[T,C] inverse-distance mean of `values` [N,C] at the nearest `points` [N,3] of each target [T,3]."""
    distance, index = cKDTree(points).query(targets, k=min(neighbours, len(points)), workers=2)
    distance, index = distance.reshape(len(targets), -1), index.reshape(len(targets), -1)
    weight = 1 / np.maximum(distance, 1e-9)
    return ((values[index] * weight[..., None]).sum(1) / weight.sum(1)[:, None]).astype(np.float32)
