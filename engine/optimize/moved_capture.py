"""Where a project's photos are now, if they are no longer where the run found them, and whether they are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import PhotosMissing, UnusableFrames
from engine.optimize.project import Project

if TYPE_CHECKING:
    from engine.capture import Capture

RESTORE = "(restore these files, or start a new run; this one began with them)"


@contextmanager
def advising_restore() -> Iterator[None]:
    """Have bad frames of a project's capture say what helps there: its run cannot go on without them."""
    try:
        yield
    except UnusableFrames as error:
        raise error.advising(RESTORE) from error


def place_of_capture(project: Project, now: Path | str | None = None) -> Path:
    """The capture of a project; `now` says where it or its folder moved to; the project, not yet saved, then does too.

    Masks that lay in the capture's folder have moved with it. Raises PhotosMissing when the capture is not where
    the project has it.
    """
    before = Path(project.capture_path)
    if now is None:
        if not before.exists():
            raise PhotosMissing(
                f"{before}: the photos of {project.folder} are not there any more; restore them, or say where they are "
                "now with --capture"
            )
        return before
    now = Path(now).resolve()
    if before.suffix.lower() == ".json" and (now / before.name).is_file():
        now /= before.name  # its folder may hold others
    masks = project.recipe.capture.masks
    old, new = (path.parent if path.suffix.lower() == ".json" else path for path in (before, now))
    if masks and Path(masks).is_relative_to(old):
        project.recipe.capture.masks = str(new / Path(masks).relative_to(old))
    project.capture_path = str(now)
    return now


def require_same(project: Project, capture: Capture) -> None:
    """Raise PhotosMissing unless photos and poses are those that the project's run began with."""
    if project.capture_fingerprint and capture.fingerprint() != project.capture_fingerprint:
        raise PhotosMissing(
            f"{project.capture_path}: the photos or poses changed since this run began; restore them or start over"
        )


def undecoded(project: Project, capture: Capture) -> Capture:
    """The capture as the run had it, with no photo decoded. Raises PhotosMissing where it is another one.

    Only where photos with damaged pixels may be skipped, and some have to be, all are decoded to find these.
    """
    expected = project.capture_fingerprint
    if expected and capture.fingerprint() != expected and capture.options.skip_bad_frames:
        capture = capture.check_images()
    require_same(project, capture)
    return capture
