"""The first stage of `refine`: a mesh from a file instead of one that a stage has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.capture import Capture
from engine.errors import GeometryError, RecipeError
from engine.exchange import read_asset
from engine.geometry.unwrap import UnwrapOptions, unwrap
from engine.optimize.mesh_frame import fitting_masks, is_seen, ways_to_read
from engine.optimize.messages import Notice
from engine.optimize.stage import Stage, StageContext, register
from engine.optimize.textures import resized_material
from engine.scene import Material, Mesh


@register
class GivenStage(Stage):
    """Reads `refine.mesh`, in the capture's frame or turned to it, unwraps it where it has no texture coordinates."""

    name = "given"

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a surface", "an unwrapped mesh")

    @classmethod
    def check(cls, recipe: Any, capture: Capture) -> None:
        if not recipe.refine.mesh:
            raise RecipeError("recipe refine starts from a mesh: give it with --set refine.mesh=FILE (GLB, OBJ or PLY)")
        if not Path(recipe.refine.mesh).is_file():
            raise GeometryError(f"{recipe.refine.mesh}: there is no such file; let refine.mesh name a mesh")
        _read(Path(recipe.refine.mesh), capture)

    def begin(self, context: StageContext) -> None:
        self.context = context

    def finish(self) -> None:
        context, options = self.context, self.context.recipe.mesh
        path = Path(context.recipe.refine.mesh)
        mesh, material = _read(path, context.capture)
        mesh = fitting_masks(path, mesh, context.capture, lambda *notice: context.notify(Notice(*notice)))
        _require_seen(path, [mesh], context.capture)
        context.progress(self.name, 0.2, f"{path.name}: {len(mesh.triangles):,} faces")
        if mesh.uvs is None:
            unwrapping = UnwrapOptions(options.face_cap, options.texture_size, options.padding)
            mesh = unwrap(
                mesh,
                unwrapping,
                lambda _done, _total, text: context.progress(self.name, 0.2, text),
                context.cancelled,
            )
        context.scene.mesh = mesh
        context.scene.material = resized_material(material, options.texture_size)
        context.scene.box = np.asarray(mesh.box, np.float64)
        context.progress(self.name, 1.0, "mesh is ready")


def _read(path: Path, capture: Capture) -> tuple[Mesh, Material]:
    """The asset in the file, as read; GeometryError when it has no surface or no training view sees any of it."""
    mesh, material = read_asset(path)
    if not len(mesh.triangles):
        raise GeometryError(f"{path}: the mesh has no triangles; give a mesh with a surface")
    _require_seen(path, ways_to_read(path, mesh, capture.up), capture)
    return mesh, material


def _require_seen(path: Path, meshes: list[Mesh], capture: Capture) -> None:
    """Raise GeometryError unless a training photo sees one of `meshes`, ways to read the file."""
    if not any(is_seen(mesh, capture) for mesh in meshes):
        low, high = (", ".join(f"{value:.4g}" for value in corner) for corner in meshes[0].box)
        raise GeometryError(
            f"{path}: no training photo sees the mesh, whose box is ({low}) to ({high}); "
            "give a mesh in the capture's frame and scale"
        )
