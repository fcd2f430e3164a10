"""Splats taken out by a box and put back, between two steps, while the stage that trains them runs or after it.

What was taken out is kept in the scene, and so in checkpoints, until it is put back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.errors import GeometryError
from engine.optimize.stages.splats import SplatsStage
from engine.scene import Gaussians
from engine.scene.gaussians import joined
from engine.splats.channels import rescaled
from engine.splats.parameters import SplatTensors

if TYPE_CHECKING:
    from engine.optimize.session import Session

KEPT = "removed_splats"  # how the names of what was taken out begin, among the scene's tensors


def delete_splats(session: Session, edit: int, box: tuple[float, ...], inside: bool) -> int:
    """Take out the splats inside or outside of a box; how many. `edit` is the number to put them back by.

    Raises GeometryError where there are none to take out, or none would stay.
    """
    splats = _splats(session)
    gone = splats.in_box(box) == inside
    where = "inside" if inside else "outside"
    if not gone.any():
        raise GeometryError(f"there are no splats {where} the box; drag it around what should go")
    if gone.all():
        raise GeometryError(f"all splats lie {where} the box, and some must stay; make it another size")
    _keep(session, edit, splats.select(gone))
    _replace(session, splats, np.flatnonzero(~gone), None)
    return int(gone.sum())


def restore_splats(session: Session, edit: int) -> tuple[int, int]:
    """Put back what an edit took out, after the splats there are now: (how many, how many the budget left no room for).

    Of too many the most opaque are taken. Raises GeometryError where nothing is kept of that edit.
    """
    splats, back = _splats(session), _kept(session, edit)
    if back is None or (back.kind, back.degree) != (splats.kind, splats.degree):
        raise GeometryError("the splats that were deleted are not kept any more; go back to a checkpoint instead")
    count = len(back)
    if isinstance(session.stage, SplatsStage):
        room = max(session.stage.budget - len(splats), 0)
        if room < count:
            back = back.select(np.sort(np.argsort(-back.logits, kind="stable")[:room]))
    _replace(session, splats, np.arange(len(splats)), back)
    for name in [name for name in session.context.scene.tensors if name.startswith(f"{KEPT}.{edit}.")]:
        del session.context.scene.tensors[name]
    return len(back), count - len(back)


def _splats(session: Session) -> Gaussians:
    stage, scene = session.stage, session.context.scene
    if isinstance(stage, SplatsStage):
        return stage.splats.gaussians()
    if scene.gaussians is None or scene.mesh is not None:
        raise GeometryError("there are no splats to edit; they come with the stage splats")
    return scene.gaussians


def _replace(session: Session, splats: Gaussians, kept: np.ndarray, added: Gaussians | None) -> None:
    """Have `kept` [K] (indices) of the session's splats, then `added`."""
    if isinstance(session.stage, SplatsStage):
        session.stage.edit(torch.from_numpy(kept), None if added is None else SplatTensors.of(added))
    else:
        left = splats.select(kept)
        session.context.scene.gaussians = left if added is None else joined(left, added)
    session.edited()


def _keep(session: Session, edit: int, removed: Gaussians) -> None:
    named = {f"{KEPT}.{edit}.{name}": torch.from_numpy(array) for name, array in removed.arrays().items()}
    session.context.scene.tensors |= named


def _kept(session: Session, edit: int) -> Gaussians | None:
    prefix = f"{KEPT}.{edit}."
    tensors = session.context.scene.tensors
    arrays = {name[len(prefix) :]: tensors[name].numpy() for name in tensors if name.startswith(prefix)}
    if not arrays:
        return None
    kind = _splats(session).kind
    if "shapes" in arrays and kind == "gaussian":  # taken out while they were trained; since then all are Gaussians
        return rescaled(SplatTensors.of(Gaussians(kind="exponential", **arrays))).gaussians()
    return Gaussians(kind=kind, **arrays)
