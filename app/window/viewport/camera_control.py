"""A free camera that people move: orbit, pan, zoom, fly, frame, axis views, turntable. No Qt, only numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.scene import Camera
from engine.scene.camera import look_at
from engine.scene.conventions import gltf_from_capture

AxisView = Literal["front", "back", "left", "right", "top", "bottom"]
# where the camera stands, in glTF's axes (+Y up, the front looks along +Z)
AXIS_VIEWS: dict[AxisView, tuple[float, float, float]] = {
    "front": (0, 0, 1),
    "back": (0, 0, -1),
    "left": (-1, 0, 0),
    "right": (1, 0, 0),
    "top": (0, 1, 0),
    "bottom": (0, -1, 0),
}
VIEW_ANGLE = 35.0  # degrees across the shorter side
ORBIT_DEGREES = 0.4  # per pixel dragged
POLE_DEGREES = 2.0  # the camera stays this far from looking straight up or down when orbiting
WHEEL = 1.15  # closer per notch of the wheel
TURNTABLE_DEGREES = 30.0  # per second
FLY_SHARE = 0.8  # of the scene's size per second
MARGIN = 1.08  # around what is framed


def _turn(axis: np.ndarray, degrees: float) -> np.ndarray:
    """[3,3] rotation about a unit axis."""
    angle = np.radians(degrees)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


class CameraControl:
    """A camera that looks at a pivot; the picture's size comes from whoever asks for a Camera."""

    def __init__(self, up: np.ndarray | tuple[float, float, float] = (0.0, 0.0, 1.0)) -> None:
        self.up = np.asarray(up, float) / np.linalg.norm(up)
        self.box = np.array([[-1.0, -1, -1], [1, 1, 1]])
        self.pivot = np.zeros(3)
        self.rotation = np.eye(3)  # world from camera, OpenCV axes
        self.distance = 1.0  # from the pivot
        self.view_angle = VIEW_ANGLE
        self.frame(self.box)
        self.look_from_three_quarters()

    # ---- to and from cameras

    @property
    def position(self) -> np.ndarray:
        """[3] where the camera stands."""
        return self.pivot - self.distance * self.rotation[:, 2]

    def focal(self, width: int, height: int) -> float:
        """Pixels."""
        return min(width, height) / 2 / np.tan(np.radians(self.view_angle) / 2)

    def camera(self, width: int, height: int) -> Camera:
        """The view on width x height pixels."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation, self.position
        focal = self.focal(width, height)
        return Camera(pose, (focal, focal), (width / 2, height / 2), width, height)

    def take(self, camera: Camera) -> None:
        """Go on from where `camera` stands, with its view angle; the pivot is ahead, as deep as the box's middle."""
        self.rotation = np.array(camera.world_from_camera[:3, :3])
        along = float((self.box.mean(0) - camera.position) @ camera.forward)
        self.distance = along if along > 1e-3 * self.size else self.size
        self.pivot = camera.position + self.distance * camera.forward
        side = min(camera.width, camera.height)
        focal = sum(camera.focal) / 2
        self.view_angle = float(np.degrees(2 * np.arctan(side / 2 / focal)))

    def set_up(self, up: np.ndarray) -> None:
        """Another up direction, seen from three quarters."""
        self.up = np.asarray(up, float) / np.linalg.norm(up)
        self.look_from_three_quarters()

    @property
    def size(self) -> float:
        """The diagonal of what was last framed."""
        return float(np.linalg.norm(self.box[1] - self.box[0]))

    # ---- moves

    def orbit(self, right: float, down: float) -> None:
        """Turn around the pivot by a drag of so many pixels."""
        turn = _turn(self.up, -right * ORBIT_DEGREES)
        self.rotation = turn @ self.rotation
        steep = np.degrees(np.arccos(np.clip(-self.rotation[:, 2] @ self.up, -1, 1)))  # 0: looking straight down
        wanted = np.clip(steep - down * ORBIT_DEGREES, min(steep, POLE_DEGREES), max(steep, 180 - POLE_DEGREES))
        self._set(_turn(self.rotation[:, 0], wanted - steep) @ self.rotation)

    def pan(self, right: float, down: float, width: int, height: int) -> None:
        """Move the scene with the cursor, by a drag of so many pixels of a picture of this size."""
        per_pixel = self.distance / self.focal(width, height)
        self.pivot = self.pivot - per_pixel * (right * self.rotation[:, 0] + down * self.rotation[:, 1])

    def zoom(self, notches: float, column: float, row: float, width: int, height: int) -> None:
        """Closer by wheel notches, toward what lies under the cursor at the pivot's depth."""
        factor = WHEEL**-notches
        least, most = 1e-3 * self.size, 1e3 * self.size
        factor = float(np.clip(self.distance * factor, least, most)) / self.distance
        scale = self.distance / self.focal(width, height)
        offset = (column - width / 2) * self.rotation[:, 0] + (row - height / 2) * self.rotation[:, 1]
        self.pivot = self.pivot + (1 - factor) * scale * offset
        self.distance *= factor

    def fly(self, right: float, up: float, forward: float, seconds: float) -> None:
        """Move the camera and its pivot; the three are in -1..1."""
        move = right * self.rotation[:, 0] - up * self.rotation[:, 1] + forward * self.rotation[:, 2]
        self.pivot = self.pivot + FLY_SHARE * self.size * seconds * move

    def turn(self, seconds: float) -> None:
        """Go on with the turntable."""
        self.turn_degrees(TURNTABLE_DEGREES * seconds)

    def turn_degrees(self, degrees: float) -> None:
        """Around the pivot, upright."""
        self._set(_turn(self.up, degrees) @ self.rotation)

    def look_at_point(self, point: np.ndarray) -> None:
        """Make `point` [3] the pivot, without turning."""
        self.distance = max(float((point - self.position) @ self.rotation[:, 2]), 1e-3 * self.size)
        self.pivot = np.asarray(point, float)

    def frame(self, box: np.ndarray) -> None:
        """Have all of `box` [2,3] in view, from the same side."""
        self.box = np.asarray(box, float)
        if self.size <= 0:
            self.box = self.box + np.array([[-0.5], [0.5]])
        self.pivot = self.box.mean(0)
        self.distance = MARGIN * self.size / 2 / np.sin(np.radians(min(self.view_angle, 120)) / 2)

    def axis_view(self, view: AxisView) -> None:
        """Look at the pivot along an axis, upright."""
        toward = gltf_from_capture(self.up).T @ np.array(AXIS_VIEWS[view], float)
        up = self.up
        if view in ("top", "bottom"):  # the front is at the picture's lower, or upper, border
            up = gltf_from_capture(self.up).T @ np.array([0.0, 0, -1 if view == "top" else 1])
        self._look_from(toward, up)

    def look_from_three_quarters(self) -> None:
        """From the front's right and a little above."""
        toward = gltf_from_capture(self.up).T @ np.array([0.55, 0.45, 0.75])
        self._look_from(toward / np.linalg.norm(toward), self.up)

    def _look_from(self, toward: np.ndarray, up: np.ndarray) -> None:
        camera = look_at(self.pivot + self.distance * toward, self.pivot, up, 1.0, 1, 1)
        self.rotation = camera.world_from_camera[:3, :3]

    def _set(self, rotation: np.ndarray) -> None:
        """Keep it a rotation after many small turns."""
        left, _, right = np.linalg.svd(rotation)
        self.rotation = left @ right


class PhotoWindow:
    """Which part of a photo is shown: magnified about its middle, moved by dragging, never beyond the photo."""

    def __init__(self) -> None:
        self.magnification = 1.0
        self.middle = np.array([0.5, 0.5])  # of the photo, in shares of its width and height

    def zoom(self, notches: float, column: float, row: float) -> None:
        """Magnify by wheel notches, keeping what is at (column, row), shares of the picture, where it is."""
        before = self.middle + (np.array([column, row]) - 0.5) / self.magnification
        self.magnification = float(np.clip(self.magnification * WHEEL**notches, 1.0, 64.0))
        self.middle = before - (np.array([column, row]) - 0.5) / self.magnification
        self._limit()

    def pan(self, right: float, down: float) -> None:
        """Move the photo by shares of the picture."""
        self.middle = self.middle - np.array([right, down]) / self.magnification
        self._limit()

    def reset(self) -> None:
        """Show all of it."""
        self.__init__()

    def _limit(self) -> None:
        reach = 0.5 / self.magnification
        self.middle = np.clip(self.middle, reach, 1 - reach)

    def rectangle(self, camera: Camera) -> tuple[float, float, float, float]:
        """(x, y, width, height) in the photo's pixels."""
        width, height = camera.width / self.magnification, camera.height / self.magnification
        return self.middle[0] * camera.width - width / 2, self.middle[1] * camera.height - height / 2, width, height

    def camera(self, camera: Camera, width: int, height: int) -> Camera:
        """The photo's camera limited to the rectangle and sampled on width x height pixels."""
        x, y, part_width, part_height = self.rectangle(camera)
        moved = camera.cropped(x, y, part_width, part_height)
        return moved.resized(width, height)


def fitted(camera: Camera, width: int, height: int) -> tuple[int, int]:
    """The largest (width, height) of the photo's shape inside a picture of this size; at least 1 each."""
    scale = min(width / camera.width, height / camera.height)
    return max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
