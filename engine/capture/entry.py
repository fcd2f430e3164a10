"""What a reader hands over: the frames as the files describe them, and the frames that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.capture.lens import Lens
from engine.capture.options import CaptureOptions
from engine.errors import CaptureError
from engine.scene.frame import Split

if TYPE_CHECKING:
    from engine.capture.depths import DepthFile

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr", ".hdr")


class FrameProblem(CaptureError):
    """Why one frame cannot be used; collected, so that all bad frames are reported together."""


class MissingFile(FrameProblem):
    """A file that a frame names is not there."""


@dataclass(frozen=True)
class Entry:
    """One frame as its capture describes it, before its image has been looked at."""

    name: str
    image_path: Path
    mask_path: Path | None
    world_from_camera: np.ndarray  # [4,4] OpenCV axes, not yet checked
    lens_of: Callable[[int, int], Lens]  # from the stored image's width and height; raises FrameProblem
    split: Split | None  # None: the capture does not say
    depth: DepthFile | None = None


@dataclass
class Reading:
    """What a reader understood of a capture's files."""

    root: Path  # paths may not leave it
    format: str  # in words, for the doctor
    up: np.ndarray | None = None  # [3]; None: to be estimated from the cameras
    up_source: str = ""
    split_source: str = ""  # in words; "" where the capture has no split of its own
    entries: list[Entry] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)  # (frame, reason)
    warnings: list[str] = field(default_factory=list)
    ply_names: list[str] = field(default_factory=list)  # files of points that the capture names
    points: Callable[[], tuple[np.ndarray, np.ndarray] | None] = lambda: None  # see `Capture.points`


def locate(root: Path, folder: Path, text: str, options: CaptureOptions, what: str) -> Path:
    """The existing file that `text` names relative to `folder`, with a missing extension filled in.

    Raises MissingFile if there is none, and FrameProblem if it lies outside `root`, also through a symbolic link.
    """
    if not text or "\0" in text:
        raise FrameProblem(f"{what} path {text!r} is not a file name; correct it")
    outside = False
    spellings = [text] if "\\" not in text else [text, text.replace("\\", "/")]
    try:
        for spelling in spellings:
            path = folder / spelling
            for candidate in [path, *(path.with_name(path.name + suffix) for suffix in _both_cases())]:
                if not options.allow_outside and not is_inside(root, candidate):
                    outside = True  # do not even look whether there is such a file
                elif candidate.is_file():
                    return candidate
    except (OSError, RuntimeError, ValueError) as error:  # name too long, link loop
        raise FrameProblem(f"{what} {text[:200]} cannot be looked up ({error}); correct the path") from error
    if outside:
        raise FrameProblem(
            f"{what} {text[:200]} lies outside the capture's folder; copy it there, "
            "or allow it with --set capture.allow_outside=true"
        )
    raise MissingFile(f"{what} {text[:200]} is missing; {_remedy(root, folder / spellings[-1])}")


def _remedy(root: Path, path: Path) -> str:
    """What to do about a file that is not there; a file whose name differs in case only comes from Windows or macOS."""
    try:
        if is_inside(root, path):
            other = _names(path.parent, path.parent.stat().st_mtime_ns).get(path.name.lower())
            if other is not None:
                return f"there is {other}: rename it, or what names it"
    except OSError:  # there is no such folder either
        pass
    return "restore the file"


@lru_cache(maxsize=8)
def _names(folder: Path, _changed: int) -> dict[str, str]:
    """The names in a folder by their lower case; listed once for all that a capture misses there."""
    return {path.name.lower(): path.name for path in folder.iterdir()}


def _both_cases() -> tuple[str, ...]:
    return IMAGE_SUFFIXES + tuple(suffix.upper() for suffix in IMAGE_SUFFIXES)


def is_inside(root: Path, path: Path) -> bool:
    """Whether `path`, with symbolic links followed, lies in the folder `root`."""
    return path.resolve().is_relative_to(root.resolve())
