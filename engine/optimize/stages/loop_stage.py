"""What the stages that drive a stochastic loop have in common: photos, tangents, preview, state and result."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import GeometryError
from engine.exchange import TangentSpace
from engine.optimize.stage import IteratingStage, StageContext
from engine.optimize.stages.view_pass import starting_light
from engine.optimize.textures import material_from_texture, quick_material, texture_from_material
from engine.optimize.views import View
from engine.scene import Environment, Material, Mesh


class LoopStage(IteratingStage):
    """A stage whose parameters live in `loop`, a StochasticLoop or HostLoop, over the mesh `mesh`."""

    loop: Any
    mesh: Mesh  # as it was at the start
    tangent_space: TangentSpace

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Longest side of the photos."""

    def take_scene(self, context: StageContext, before: str) -> np.ndarray:
        """Note what the stage starts from; returns its texture [H,W,8]. `before` names the stages that unwrap.

        Raises GeometryError where there is no unwrapped mesh.
        """
        self.context, scene = context, context.scene
        if scene.mesh is None or scene.mesh.uvs is None:
            raise GeometryError(f"stage {self.name} needs an unwrapped mesh: run the stage {before} before it")
        self.light = starting_light(context.recipe, context.capture.up, scene.environment).environment()
        self.frames = list(context.capture.train)
        self.report: dict[str, float] = {}
        self.rates: dict[str, float] = {}
        return texture_from_material(scene.material or Material()).numpy()

    def take_mesh(self, mesh: Mesh) -> None:
        """Make `mesh` the one that is drawn."""
        self.mesh = mesh
        self.tangent_space = TangentSpace(mesh.triangles, mesh.uvs, mesh.uv_triangles)

    def view(self, frame: int) -> View:
        """A photo at the stage's size."""
        return self.context.views.view(frame, self.image_size)

    def photos(self) -> list[Any]:
        """All training photos, as the loop compares with them."""
        from engine.optimize.stochastic import LoopView

        found = []
        for frame in self.frames:
            view, name = self.view(frame), self.context.capture.frames[frame].name
            color, alpha = view.premultiplied.cpu().numpy(), view.alpha.cpu().numpy()
            found.append(LoopView(view.camera, color, alpha, f"photo {name}"))
        return found

    def tangents(self, points: np.ndarray) -> np.ndarray:
        """[N,4] tangents of the drawn mesh with its vertices at `points` [V,3]."""
        mesh = Mesh(np.asarray(points), self.mesh.triangles)
        return self.tangent_space.tangents(mesh.vertices, mesh.vertex_normals())

    def points(self) -> np.ndarray:
        """[V,3] vertices of the drawn mesh as it is now."""
        return self.loop.vertices()

    def environment(self) -> Environment:
        """The light as it is now."""
        radiance = self.loop.radiance()
        return self.light if radiance is None else replace(self.light, radiance=radiance)

    def learning_rates(self) -> dict[str, float]:
        return dict(self.rates)

    def preview(self) -> dict[str, Any]:
        source = self.mesh
        parts = (part.copy() for part in (source.triangles, source.uvs, source.uv_triangles))
        return {
            "mesh": Mesh(self.points(), *parts),
            "material": quick_material(torch.from_numpy(self.loop.texture())),
            "environment": self.environment(),
            "box": None if self.context.scene.box is None else np.array(self.context.scene.box),
        }

    def topology(self) -> tuple[np.ndarray, int]:
        return self.mesh.triangles, len(self.mesh.vertices)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {name: torch.from_numpy(_stored(array)) for name, array in self.loop.state().items()}
        return tensors, {"report": dict(self.report)}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        if not hasattr(self, "loop"):
            self.begin(context)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        if "head" in arrays:
            arrays["head"] = arrays["head"].view(np.uint32)
        self.loop.restore(arrays)
        self.report = dict(values["report"])

    def finish(self) -> None:
        scene, mesh = self.context.scene, self.mesh
        scene.mesh = Mesh(self.points(), mesh.triangles, mesh.uvs, mesh.uv_triangles)
        scene.material = material_from_texture(torch.from_numpy(self.loop.texture()))
        scene.environment = self.environment()


def _stored(array: np.ndarray) -> np.ndarray:
    """`array` in a type that tensors have, bit for bit."""
    return array.view(np.int32) if array.dtype == np.uint32 else array
