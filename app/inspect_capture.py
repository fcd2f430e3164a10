"""`unrender doctor`: what a capture holds and what is wrong with it, in plain words; imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.optimize.capture_options import capture_options
from engine.optimize.recipe import Recipe, override

if TYPE_CHECKING:
    from engine.capture import CaptureOptions
    from engine.capture.doctor import Report


def doctor(path: Path, overrides: list[str], find_poses: bool = True) -> int:
    """Print the report; 1 when there is a problem that would stop or spoil a run.

    Where `path` names photos or a video without camera poses these are found first, unless `find_poses` is false.
    """
    from engine.capture.doctor import examine
    from engine.capture.photos import photo_source

    recipe = Recipe()
    override(recipe, overrides)
    options = capture_options(recipe.capture)
    bare = find_poses and photo_source(path) is not None
    ignoring = recipe.splats.masks == "ignore"
    report = _examined_photos(path, options, ignoring) if bare else examine(path, options, ignoring=ignoring)
    for line in report.lines():
        print(line)
    return 1 if report.problems else 0


def _examined_photos(path: Path, options: CaptureOptions, ignoring: bool) -> Report:
    """Of the capture that is made from bare photos; of the photos where none can be, with the reason as a problem."""
    from app.poses import posed
    from engine.capture.doctor import NO_POSES, examine
    from engine.capture.photos import require_photo_masks
    from engine.capture.reconstruction import recorded_notes
    from engine.errors import CaptureError

    try:
        if options.masks is not None:
            require_photo_masks(path, options)  # finding poses may take an hour
        folder = posed(path, options.masks is not None)
    except CaptureError as error:
        report = examine(path, options, ignoring=ignoring)
        report.warnings = [text for text in report.warnings if text != NO_POSES]
        report.problems += [str(error)] if str(error) not in report.problems else []
        return report
    report, told = examine(folder, options, ignoring=ignoring), recorded_notes(folder)
    report.warnings = [text for text in report.warnings if text not in told]
    return report
