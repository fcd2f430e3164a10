"""Taking a session to a checkpoint: on opening its project again, or back in place while it is open."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ProjectError
from engine.optimize.checkpoint import read_checkpoint, read_one_checkpoint
from engine.optimize.commands import checked_overrides
from engine.optimize.history import effective
from engine.optimize.messages import Notice, StageChanged
from engine.optimize.moved_capture import advising_restore, place_of_capture, require_same, undecoded
from engine.optimize.project import Project
from engine.optimize.session_start import check_recipe, opened_capture, read_capture
from engine.optimize.session_state import place, restore_state

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.session import Session


def resumed(
    session_type: type[Session],
    project: Project,
    overrides: list[str] | tuple[str, ...],
    device: str | None,
    capture: Path | str | Capture | None,
    since: float | None,
    progress: Callable[[int, int, str], None] | None,
) -> Session:
    """The session of an opened project at its newest whole checkpoint; `Session.open` says the rest."""
    checkpoint, spent = read_checkpoint(project.checkpoints), project.logged_seconds()
    moved = isinstance(capture, (str, Path))
    if capture is None or moved:
        capture = place_of_capture(project, capture)
    recipe = copy.deepcopy(project.recipe)
    check_recipe(recipe)
    begun = 0 if checkpoint is None else checkpoint.values["stage_index"] + checkpoint.values["begun"]
    checked_overrides(recipe, overrides, begun)  # said before every photo is read
    with advising_restore():
        if checkpoint is not None and checkpoint.values["stage_index"] >= len(recipe.stages):
            opened = undecoded(project, read_capture(capture, recipe))  # nothing is left to be learned from them
        else:
            opened = opened_capture(capture, recipe, progress)
            require_same(project, opened)
    if moved:
        project.save()
    session = session_type(project, opened, recipe, device or project.device, since)
    if checkpoint is not None:
        for text in checkpoint.notices:
            session.notify(Notice(text, "warning"))
        session._commands.replay = restore_state(session, checkpoint.tensors, checkpoint.values)
    else:
        session._commands.replay = [entry for entry in effective(project.history) if entry.by_user]
        project.history = []
    session.seconds_before = max(session.seconds_before, spent)
    project.log("Resumed", {"seconds": round(session.seconds, 3)})
    session._commands.override(overrides)
    return session


def revert(session: Session, path: Path | None) -> None:
    """What `Session.revert` does.

    A checkpoint of the state gone back to is written, so that the newest one on disk always is of the run's line.
    """
    folder = session.project.checkpoints
    if path is not None and Path(path).resolve().parent != folder.resolve():
        raise ProjectError(f"{path}: is no checkpoint of this project; choose one in {folder}")
    checkpoint = read_checkpoint(folder) if path is None else read_one_checkpoint(Path(path))
    if checkpoint is None:
        raise ProjectError(f"{folder}: there is no checkpoint yet to go back to; let the run go on for a while")
    left, values = session.total_step, checkpoint.values
    place(session, checkpoint.tensors, values)
    session.restart_line()
    _drop_later_losses(session, values["history_length"])
    text = f"went back from step {left} to step {session.total_step}"
    session.record("revert", "", values["history_length"], text)
    for notice in checkpoint.notices:
        session.notify(Notice(notice, "warning"))
    count = len(session.recipe.stages)
    last = (session.recipe.stages[-1], count - 1, count, "done")
    now = (session.stage_name, session.stage_index, count, "begin")
    session.notify(StageChanged(*(last if session.finished else now)))
    session.notify(Notice(text, details={"reverted_to": session.total_step}))
    session.checkpoint_or_notice()


def _drop_later_losses(session: Session, length: int) -> None:
    """Remove the terms of scripts that did not count yet when the history had `length` entries."""
    weights = {e.key: e.value for e in effective(session.project.history[:length]) if e.kind == "loss"}
    losses = session.context.extra_losses
    for name in losses.names:
        if not weights.get(name):
            losses.remove(name)
