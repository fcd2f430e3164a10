"""From a hull or an iso-surface to the mesh that black-box shading and subdivision start from, unwrapped, few faces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.errors import GeometryError
from engine.geometry.bake_surface import dilate, surface_texels
from engine.geometry.simplify import remove_small_components, simplify
from engine.geometry.unwrap import UnwrapOptions, unwrap
from engine.optimize.grids import surface_of
from engine.optimize.hull_baseline import mean_colors
from engine.optimize.stage import Stage, StageContext, register
from engine.scene import Material, Mesh
from engine.shading.blackbox import open_shading
from engine.shading.points import SurfacePoints

LEAST_TEXTURE, MOST_TEXTURE = 64, 4096  # texels
DARKEST = 0.02  # linear base colour to start from
MOST_CHANGE = 4.0  # of a colour for its shading


@register
class CageStage(Stage):
    """Simplifies the surface found so far (the hull, where no other stage found one), unwraps it, paints it."""

    name = "cage"

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a visual hull", "a surface")

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a surface", "an unwrapped mesh")

    def begin(self, context: StageContext) -> None:
        self.context = context

    def _texture_size(self) -> int:
        """A power of two near 1.3 times the longest side of a photo: with yet finer ones most texels are seen in
        few pixels and few photos, and stochastic gradients leave them noisy."""
        side = max(max(self.context.capture.frames[index].camera.size) for index in self.context.capture.train)
        return int(np.clip(2 ** round(math.log2(1.3 * side)), LEAST_TEXTURE, MOST_TEXTURE))

    def _mean_colors(self, mesh: Mesh, size: int) -> np.ndarray:
        """[size,size,3] the base colour that about shows what the photos show of the mesh on average.

        A shading that reads no light is asked what it makes of that mean, seen from the front, and the base colour is
        as much brighter as the result is darker.
        """
        context, texels = self.context, surface_texels(mesh, (size, size))
        mean = mean_colors(mesh, texels.positions, texels.normals, context.capture, context.rasterizer)
        mean = np.clip(mean, DARKEST, 1).astype(np.float32)
        shading = open_shading(context.recipe.shading.name, context.recipe.shading.file)
        if not shading.reads_light:
            material = context.recipe.material
            rest = (np.full(len(mean), value, np.float32) for value in (material.roughness, material.metallic))
            points = SurfacePoints(texels.normals, texels.normals, mean, *rest, position=texels.positions)
            shown = np.nan_to_num(shading.shade(points)).clip(DARKEST, None)
            mean = np.clip(mean * np.clip(mean / shown, 1 / MOST_CHANGE, MOST_CHANGE), DARKEST, 1)
        return dilate(texels.image(mean, 0.5), texels.filled)

    def finish(self) -> None:
        context, scene, options = self.context, self.context.scene, self.context.recipe.cage
        source = scene.mesh or scene.hull
        if scene.mesh is None and scene.field is not None and scene.box is not None:  # dug by later stages
            source = surface_of(scene.field, scene.box)
        if source is None or not len(source.triangles):
            raise GeometryError("stage cage needs a surface: run the stage hull before it")
        context.progress(self.name, 0.1, f"simplifying {len(source.triangles):,} faces to {options.faces:,}")
        mesh = simplify(remove_small_components(source, 0.01), options.faces, context.notice)
        context.progress(self.name, 0.3, f"unwrapping {len(mesh.triangles):,} faces")
        size = options.texture_size or self._texture_size()
        scene.mesh = unwrap(
            mesh,
            UnwrapOptions(max(options.faces, len(mesh.triangles)), size, options.padding, section=self.name),
            lambda _done, _total, text: context.progress(self.name, 0.3, text),
            context.cancelled,
        )
        material = context.recipe.material
        packed = np.full((size, size, 3), (1.0, material.roughness, material.metallic), np.float32)
        color = self._mean_colors(scene.mesh, size) if options.colors else np.full((size, size, 3), 0.5, np.float32)
        scene.material = Material(color, packed)
        context.progress(self.name, 1.0, "cage is ready")
