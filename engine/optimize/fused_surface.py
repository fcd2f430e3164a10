"""The surface that stage fuse writes beside splats, and the mesh that it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ExchangeError
from engine.exchange import read_mesh
from engine.optimize.mesh_frame import reference_for
from engine.optimize.truth import find_truth

if TYPE_CHECKING:
    from engine.optimize.recipe import Recipe
    from engine.optimize.session import Session
    from engine.scene import Mesh


def surface_name(recipe: Recipe) -> str:
    """The file in exports/ that stage fuse writes its surface to."""
    return f"{recipe.export.name}-surface.ply"


def fused_surface(session: Session, reference: Path | None) -> tuple[Mesh, Mesh] | None:
    """(the surface that stage fuse wrote, what to compare it with: the mesh in the file `reference`, or the truth).

    None where there is no truth, or no surface for it. Raises ExchangeError where `reference` is given and there is no
    surface, or one of both cannot be read.
    """
    path = session.project.exports / surface_name(session.recipe)
    if not path.is_file():
        if reference is None:
            return None
        raise ExchangeError(
            f"--reference {reference}: splats have no surface to compare with it; "
            "run again with fuse.resolution=128 and fuse.mesh=true, or leave it out"
        )
    truth = find_truth(session.capture.path) if reference is None else None
    true_mesh = reference or (truth.mesh_path if truth is not None else None)
    if true_mesh is None:
        return None
    surface = read_mesh(path)
    return surface, reference_for(session, true_mesh, surface, given=reference is not None)
