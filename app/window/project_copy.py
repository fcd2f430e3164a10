"""Copying a whole project folder while its run may go on, and having the run go on in the copy; knows nothing of Qt."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.window.waiting import result_of
from engine.errors import Cancelled, ProjectError

if TYPE_CHECKING:
    from app.window.background import ProgressHandle
    from engine.optimize.session import Session

LOCK, PROJECT = "project.lock", "project.toml"
TRIES = 5  # times a checkpoint may be replaced by a newer one while it is being copied
CHUNK = 4 << 20


def copy_project(
    source: Path,
    target: Path,
    progress: Callable[[float, str], None] = lambda done, text: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Copy the project in `source` to the new folder `target`; it appears whole or not at all.

    Raises ProjectError when the target exists or cannot be written, and Cancelled.
    """
    source, target = Path(source), Path(target)
    if not (source / PROJECT).is_file():
        raise ProjectError(f"{source}: there is no project here to copy; open one first")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ProjectError(f"{target}: there is something already; choose a new name")
    if target.resolve().is_relative_to(source.resolve()):
        raise ProjectError(f"{target}: lies inside the project itself; choose another folder")
    aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        for _ in range(TRIES):
            aside.mkdir(parents=True)
            try:
                _copy(source, aside, progress, cancelled)
                break
            except FileNotFoundError:  # an older checkpoint made room for a newer one
                if not aside.is_dir():
                    raise
                if not (source / PROJECT).is_file():
                    raise ProjectError(f"{source}: the project is no longer there; put its folder back") from None
                shutil.rmtree(aside, ignore_errors=True)
        else:
            raise ProjectError(f"{source}: keeps changing; pause the run and save again")
        if target.is_dir():
            target.rmdir()
        os.replace(aside, target)
    except OSError as error:
        raise ProjectError(f"{target}: cannot be written ({error.strerror or error}); choose another place") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def copy_session(session: Session, target: Path, handle: ProgressHandle) -> bool:
    """Copy a session's project with a checkpoint of this moment to the new folder `target` and move it there.

    For a worker thread; steps go on meanwhile. Where its folder can no longer be written `target` gets the checkpoint,
    and where it is gone a project of this moment alone. False where the session was closed before it could move: the
    copy is whole then too. Raises ProjectError and, with nothing left behind, Cancelled.
    """
    from engine.optimize.project_move import found_session, move_session

    source, target, since = session.project.folder, Path(target), time.time()
    try:
        with suppress(ProjectError):  # the folder cannot be written any more
            result_of(session.call(lambda session: session.checkpoint()), handle)
        if not (source / PROJECT).is_file():
            result_of(session.call(lambda session: found_session(session, target)), handle)
            return True
    except CancelledError:
        raise ProjectError(f"{source}: was closed before it could be copied; open it and save again") from None
    copy_project(source, target, handle.report, lambda: handle.cancelled)
    move = session.call(lambda session: move_session(session, target, since))
    try:
        result_of(move, handle)
    except CancelledError:
        return False
    except Cancelled:
        if move.cancelled():
            shutil.rmtree(target, ignore_errors=True)
            raise
        move.result()  # it had begun
    return True


def _copy(source: Path, aside: Path, progress, cancelled) -> None:
    entries = [path for path in sorted(source.rglob("*")) if path.name != LOCK and path.suffix != ".partial"]
    files = [path for path in entries if path.is_file()]
    total, done = max(1, sum(path.stat().st_size for path in files)), 0
    for folder in [path for path in entries if path.is_dir()]:
        (aside / folder.relative_to(source)).mkdir(parents=True, exist_ok=True)
    for path in files:
        with open(path, "rb") as original, open(aside / path.relative_to(source), "wb") as copy:
            while chunk := original.read(CHUNK):
                if cancelled():
                    raise Cancelled("saving under a new name was cancelled; nothing was left behind")
                copy.write(chunk)
                done += len(chunk)
                progress(min(1.0, done / total), path.name)
            copy.flush()
            os.fsync(copy.fileno())
