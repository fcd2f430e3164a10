"""What a path is, a project or a capture, read without torch; runs on a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.window.loading import load_engine
from engine.errors import CaptureError, PhotosMissing

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.recipe import Recipe

PROJECT = "project.toml"
HOME = "Unrender"  # folder of new projects, in the user's home


@dataclass(frozen=True)
class Opened:
    """A capture and, where the path was a project, its folder and recipe."""

    capture: Capture
    project: Path | None = None
    recipe: Recipe | None = None


def opened(
    path: Path,
    section: Any,
    posing: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    photos: Path | None = None,
) -> Opened:
    """What lies at `path`; a capture is read as the recipe's `section` capture says. Raises UnrenderError.

    Poses that photos lack are found first, which takes minutes: `posing(done, text)` hears how far that is. `photos`
    says where a project's photos are now, if they moved; the project then says so too.
    """
    from engine.capture import open_capture
    from engine.capture.photos import photo_source
    from engine.optimize.capture_options import capture_options

    path = path.expanduser()
    if path.name == PROJECT:
        path = path.parent
    if not path.exists():
        raise CaptureError(f"{path}: there is no such folder; it may have been moved or deleted")
    if (path / PROJECT).is_file():
        return _opened_project(path, photos)
    options = capture_options(section)
    if photo_source(path) is not None:
        from engine.capture.reconstruction import find_poses

        path = find_poses(path, posing, cancelled, keep_pixels=options.masks is not None).folder
    return Opened(open_capture(path, options))


def _opened_project(path: Path, photos: Path | None) -> Opened:
    """What a project holds, once it is certain that its session can be opened: what is open now is closed for it."""
    load_engine()  # torch breaks when two threads import it at once
    from engine.capture import open_capture
    from engine.optimize.capture_options import capture_options
    from engine.optimize.checkpoint import read_checkpoint
    from engine.optimize.moved_capture import advising_restore, place_of_capture, undecoded
    from engine.optimize.project import LOCK, Project
    from engine.optimize.project_lock import require_free
    from engine.optimize.recipe import Recipe

    project = Project.open(path, Recipe, lock=False)
    require_free(path / LOCK)
    place = place_of_capture(project, photos)
    try:
        with advising_restore():
            capture = open_capture(place, capture_options(project.recipe.capture))
    except CaptureError as error:
        raise PhotosMissing(f"{path}: its photos cannot be read: {error}") from error
    capture = undecoded(project, capture)
    read_checkpoint(project.checkpoints)
    if photos is not None:  # they are the same ones
        project.save()
    return Opened(capture, path, project.recipe)


def doctor_of(capture: Capture, ignoring: bool = False) -> Any:
    """The doctor's report of an open capture, whose masks tell what to ignore where that is so."""
    from engine.capture.doctor import examine

    return examine(capture.path, capture.options, ignoring=ignoring)


def doctor_of_path(path: Path, section: Any) -> Any:
    """The doctor's report of a capture that could not be opened; None for what is no folder or a project."""
    from engine.capture.doctor import examine
    from engine.optimize.capture_options import capture_options

    if not path.exists() or (path / PROJECT).is_file():
        return None
    return examine(path, capture_options(section))


def free_folder(capture: Path, home: Path | None = None) -> Path:
    """A folder below `home` (by default ~/Unrender) that is not there yet, named after the capture."""
    name = (capture.parent if capture.is_file() else capture).resolve().name or "run"
    home = home or Path.home() / HOME
    folder, number = home / name, 2
    while folder.exists():
        folder, number = home / f"{name} {number}", number + 1
    return folder
