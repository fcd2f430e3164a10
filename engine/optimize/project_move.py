"""A session that goes on in a copy of its project's folder, as after a program's "save as"."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ProjectError
from engine.optimize.checkpoint import list_checkpoints, write_checkpoint
from engine.optimize.project import LOCK, PROJECT, Project
from engine.optimize.session_state import saved_state

if TYPE_CHECKING:
    from engine.optimize.session import Session

MARGIN_SECONDS = 2.0  # file systems keep times as coarsely as that


def move_session(session: Session, folder: Path, since: float) -> None:
    """Have a session go on in `folder`, a copy of its project's that was begun at `since` (time.time()).

    Only between two steps, as in `Session.call`. The copy gets what was written meanwhile and, if steps were taken, a
    checkpoint of this moment; the folder before stays as it is, for others to open. Raises ProjectError, with the
    session where it was.
    """
    old = session.project
    new = Project.open(folder, type(old.recipe))
    try:
        _catch_up(old.folder, new.folder, since - MARGIN_SECONDS)
        new.recipe, new.history, new.capture_path = old.recipe, old.history, old.capture_path
        new.save()
        if not _is_saved(session, new):
            write_checkpoint(new.checkpoints, *saved_state(session))
            session.checkpoint_step = session.total_step
    except OSError as error:
        new.close()
        raise ProjectError(f"{folder}: cannot be written ({error.strerror or error}); choose another place") from error
    except BaseException:
        new.close()
        raise
    session.project, session.context.exports = new, new.exports
    session.unsaved = False
    old.close()


def found_session(session: Session, folder: Path) -> None:
    """Have a session whose project's folder is gone go on in a new project in `folder`, with a checkpoint of now.

    Only between two steps, as in `Session.call`. Raises ProjectError, with the session where it was.
    """
    old = session.project
    if session.stage is not None and not session.stage.steps:
        raise ProjectError(f"the stage {session.stage_name} cannot be saved half way; save when it is done")
    new = Project.create(folder, old.recipe, old.capture_path, old.capture_fingerprint, old.device)
    try:
        new.history = old.history
        new.save()
        write_checkpoint(new.checkpoints, *saved_state(session))
    except BaseException:
        new.abandon()
        raise
    session.project, session.context.exports = new, new.exports
    session.unsaved, session.checkpoint_step = False, session.total_step
    old.close()


def _is_saved(session: Session, project: Project) -> bool:
    """Whether a project's newest checkpoint, with its history, is of this moment; or of where work begins again."""
    if session.stage is not None and not session.stage.steps:
        return True
    newest = list_checkpoints(project.checkpoints)[-1:]
    return [(entry.total_step, entry.stage) for entry in newest] == [(session.total_step, session.stage_name)]


def _catch_up(source: Path, target: Path, since: float) -> None:
    """Copy what has changed in the project's own folders since then; project.toml is written anew anyway."""
    for folder in (Path(), Path("checkpoints"), Path("exports")):
        for path in sorted((source / folder).iterdir()):
            own = path.is_file() and path.suffix != ".partial" and path.name not in (LOCK, PROJECT)
            if own and path.stat().st_mtime >= since:
                place = target / folder / path.name
                aside = place.with_name(f".{path.name}.partial")
                try:
                    shutil.copyfile(path, aside)
                    os.replace(aside, place)
                finally:
                    aside.unlink(missing_ok=True)
