"""What the view thread is asked to draw and what it answers with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PySide6.QtGui import QImage

from app.window.viewport.compare import Compare
from engine.scene import Camera, Environment

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.displays import Display
    from engine.optimize.preview import PreviewImage
    from engine.optimize.preview_lines import SceneLines
    from engine.optimize.snapshot import SceneSnapshot


@dataclass(frozen=True)
class PhotoPart:
    """A photo to show beside or instead of the render, and which part of it."""

    capture: Capture
    frame: int
    rectangle: tuple[float, float, float, float]  # x, y, width, height in the photo's pixels


@dataclass(frozen=True)
class DrawRequest:
    """One view of one snapshot; the camera has the full size in pixels."""

    snapshot: SceneSnapshot | None
    camera: Camera
    display: Display = "shaded"
    compare: Compare = "none"
    relight: Environment | None = None
    exposure: float = 0.0
    background: bool = False  # show the light behind the object
    photo: PhotoPart | None = None
    moving: bool = False  # more requests will follow at once: be quick
    patient: bool = False  # only the snapshot is new: it may wait while training needs the machine
    lines: SceneLines | None = None  # to be put into the picture by drawers that can
    asked: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Drawn:
    """An answer, possibly at a reduced size."""

    request: DrawRequest
    camera: Camera  # of the size that was drawn
    picture: QImage | None  # premultiplied, scaled to the full size; None before there is a snapshot
    image: PreviewImage | None  # the numbers behind it
    photo: QImage | None = None
    photo_rgba: np.ndarray | None = None
    error: QImage | None = None
    error_values: np.ndarray | None = None  # [H,W]
    seconds: float = 0.0
    final: bool = False  # at full size
    problem: str = ""  # a sentence, where something could not be drawn


def qimage(rgba: np.ndarray, size: tuple[int, int] | None = None) -> QImage:
    """A QImage of its own memory, in the format that painting is fastest with, scaled to `size` (width, height)."""
    if size is not None and size != (rgba.shape[1], rgba.shape[0]):
        rgba = cv2.resize(rgba, size, interpolation=cv2.INTER_LINEAR)
    swapped = cv2.cvtColor(np.ascontiguousarray(rgba), cv2.COLOR_RGBA2BGRA)
    height, width = swapped.shape[:2]
    return QImage(swapped.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied).copy()
