"""One photograph of a capture: its name, camera, split and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.scene.camera import Camera

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Frame:
    """A posed photograph; `camera` is the pinhole camera of the image as it is delivered (undistorted, scaled)."""

    name: str  # unique in its capture, shown to the user
    camera: Camera
    split: Split
    image_path: Path
    mask_path: Path | None = None  # None: the image's own alpha, if any
