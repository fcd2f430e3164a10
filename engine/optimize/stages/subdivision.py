"""A subdivided cage: few control vertices, displacement and textures are fitted, their smooth surface is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.capture import Capture
from engine.errors import RecipeError
from engine.exchange import write_ply
from engine.geometry.displacement import DisplacementTaps
from engine.geometry.subdivision import loop_surface, subdivided_corners
from engine.optimize.stage import register
from engine.optimize.stages.blackbox import BlackBoxStage
from engine.scene import Mesh
from engine.shading.blackbox import PythonShading, open_shading


@register
class SubdivisionStage(BlackBoxStage):
    """Takes the mesh found so far as the cage of a Loop surface whose vertices begin where the mesh's were.

    The surface is what later stages get and what is exported; the cage goes to exports/cage.ply and into the scene's
    tensors with the displacement map.
    """

    name = "subdivision"
    in_python = False

    @classmethod
    def check(cls, recipe: Any, capture: Capture) -> None:
        if isinstance(open_shading(recipe.shading.name, recipe.shading.file), PythonShading):
            raise RecipeError("stage subdivision shades on the GPU; give it a shading in WGSL, or use stage blackbox")
        super().check(recipe, capture)

    def groups(self) -> list[str]:
        first, *others = super().groups()
        return [first, *(["displacement"] if self.options.displacement else []), *others]

    def _loop(self, texture: np.ndarray) -> Any:
        from engine.kernels.webgpu import gpu
        from engine.optimize.stochastic.cage import CageLoop, CageScene

        options, cage = self.options, self.context.scene.mesh
        self.cage = cage
        surface = loop_surface(cage.triangles, len(cage.vertices), options.levels)
        control = surface.fitted(cage.vertices.astype(np.float64)).astype(np.float32)
        uv_triangles, uvs = subdivided_corners(cage.uv_triangles, cage.uvs, options.levels)
        size = options.displacement_size
        taps = DisplacementTaps.of(surface.triangles, surface.vertex_count, uvs, uv_triangles, (size, size))
        points = surface.positions(control.astype(np.float64)).astype(np.float32)
        self.take_mesh(Mesh(points, surface.triangles, uvs.astype(np.float32), uv_triangles))
        self.context.notice(f"{len(cage.triangles):,} control triangles make {len(surface.triangles):,}")
        scene = CageScene(
            control,
            np.ascontiguousarray(cage.triangles, np.int32),
            self.mesh.uvs,
            uv_triangles,
            texture,
            self.tangents(points),
            self.tangent_space.triangles,
            self.light if self.shading.reads_light else None,
            surface=surface,
            taps=taps,
        )
        shading, notice = self._device_shading(self.shading), self.context.notice
        way = self.shading.way(self.in_python)
        return CageLoop(gpu(), scene, self.photos(), self._loop_options(), shading, notify=notice, way=way)

    def points(self) -> np.ndarray:
        return self.loop.points()

    def finish(self) -> None:
        super().finish()
        scene, cage = self.context.scene, Mesh(self.loop.vertices(), self.cage.triangles)
        scene.tensors["cage.vertices"] = torch.from_numpy(cage.vertices)
        scene.tensors["cage.triangles"] = torch.from_numpy(np.ascontiguousarray(cage.triangles, np.int32))
        scene.tensors["cage.displacement"] = torch.from_numpy(self.loop.displacement())
        self.context.exports.mkdir(parents=True, exist_ok=True)
        write_ply(self.context.exports / "cage.ply", cage, up=self.context.capture.up)
