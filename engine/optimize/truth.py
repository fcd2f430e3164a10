"""What is known to be true of a capture that was made, not photographed: its folder truth/, with truth.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.errors import CaptureError
from engine.scene import Frame
from engine.scene.conventions import srgb_to_linear

LISTING = "truth.json"
MAPS = ("base_color", "roughness", "metallic")


@dataclass(frozen=True)
class TrueMaps:
    """The true material of what one view sees; None where it is not known."""

    base_color: np.ndarray | None  # [H,W,3] float32 linear
    roughness: np.ndarray | None  # [H,W] in [0,1]
    metallic: np.ndarray | None  # [H,W] in [0,1]


@dataclass(frozen=True)
class Truth:
    """A mesh in the capture's frame and maps of test views; both may be missing.

    Raises CaptureError for a pattern that cannot be filled in.
    """

    folder: Path
    mesh_path: Path | None
    patterns: dict[str, str]  # map to file name, with {name} for the frame's

    def maps(self, frame: Frame) -> TrueMaps:
        """The maps of one view, at the camera's size. Raises CaptureError for an unreadable or wrong-sized file."""
        images = {key: self._image(key, frame) for key in MAPS}
        color = images["base_color"]
        return TrueMaps(
            base_color=srgb_to_linear(color[..., 2::-1]) if color is not None else None,  # OpenCV gives blue first
            roughness=_grey(images["roughness"]),
            metallic=_grey(images["metallic"]),
        )

    def __post_init__(self) -> None:
        for key in self.patterns:
            self._file_name(key, "view")

    def _file_name(self, key: str, name: str) -> str:
        try:
            return self.patterns[key].format(name=name)
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            raise CaptureError(
                f"{self.folder / LISTING}: the name {self.patterns[key]!r} of maps.{key} cannot be filled in; "
                "only {name} may stand in braces"
            ) from error

    def _image(self, key: str, frame: Frame) -> np.ndarray | None:
        if key not in self.patterns:
            return None
        path = self.folder / self._file_name(key, Path(frame.name).stem)
        if not path.exists():
            return None
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise CaptureError(f"{path}: cannot be read as an image; restore or remove it")
        image = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1)
        height, width = frame.camera.size
        if image.shape[:2] != (height, width):
            if abs(image.shape[0] * width - image.shape[1] * height) > max(width, height):
                raise CaptureError(f"{path}: is {image.shape[1]}x{image.shape[0]}, but its photo is {width}x{height}")
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return image


def _grey(image: np.ndarray | None) -> np.ndarray | None:
    return image if image is None or image.ndim == 2 else image[..., 0]


def find_truth(capture_path: Path | str) -> Truth | None:
    """The truth beside a capture, or None. Raises CaptureError for a truth.json that cannot be read."""
    folder = Path(capture_path)
    folder = (folder if folder.is_dir() else folder.parent) / "truth"
    if not folder.is_dir():
        return None
    description: dict = {}
    listing = folder / LISTING
    if listing.exists():
        try:
            description = json.loads(listing.read_text(encoding="utf-8"))
            named, patterns = description.get("mesh"), dict(description.get("maps", {}))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise CaptureError(f"{listing}: cannot be read ({error}); restore or remove it") from error
    else:
        named, patterns = None, {key: f"{{name}}_{key}.png" for key in MAPS}
    candidates = [folder / str(named)] if named else [folder / f"mesh.{end}" for end in ("ply", "glb", "obj")]
    mesh = next((path for path in candidates if path.exists()), None)
    return Truth(folder, mesh, {key: str(value) for key, value in patterns.items()})
