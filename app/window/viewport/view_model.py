"""What the view shows and from where: camera, photo, display and switches; asks the view thread for pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QRectF, Signal

from app.window.draw_with import DrawWith, chosen_draw_with
from app.window.studio_signals import Picked
from app.window.viewport.camera_control import AxisView, CameraControl, PhotoWindow, fitted
from app.window.viewport.compare import ERROR_MAPS, Compare
from app.window.viewport.drawing import Drawn, DrawRequest, PhotoPart
from app.window.viewport.overlay import Frusta
from app.window.viewport.picking import covered, picked_in
from app.window.viewport.scene_lines import lines_of
from app.window.viewport.view_thread import ViewThread
from engine.scene import Camera
from engine.scene.camera import looked_at
from engine.scene.conventions import SPLAT_FILES_UP

if TYPE_CHECKING:
    from app.window.studio import Studio
    from engine.optimize.displays import Display

MOST_PIXELS = 2_600_000  # of one picture; beyond, as on very dense screens, it is drawn smaller
GAP = 2  # between pictures side by side, logical pixels


class ViewModel(QObject):
    """The viewport's state; `changed` when anything but the picture did, `pictured` when a new one has come."""

    changed = Signal()
    pictured = Signal()

    def __init__(self, studio: Studio, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.studio = studio
        self.control, self.window = CameraControl(), PhotoWindow()
        self.display: Display = "shaded"
        self.compare: Compare = "none"
        self.exposure = 0.0
        self.background = False
        self.grid, self.frusta_shown, self.region_shown, self.turning = True, True, False, False
        self.frusta = Frusta([])
        self.drawn: Drawn | None = None
        self.width, self.height, self.ratio = 1, 1, 1.0
        self.latencies: list[float] = []  # seconds from request to picture, the last ones
        self._warmed = False
        self._framed_surface = False  # whether the camera was placed by what there is to see
        self.thread = ViewThread(self)
        self.thread.drawn.connect(self._take)
        self.thread.noticed.connect(lambda text: studio.notice(text, "warning"))
        self.thread.draw_with(chosen_draw_with(studio.settings))
        studio.capture_changed.connect(self._capture_changed)
        studio.snapshot_changed.connect(self._snapshot_changed)
        studio.view_frame_changed.connect(self._frame_changed)
        studio.relight_changed.connect(lambda _: self.ask())
        studio.scores_changed.connect(lambda _: self._lines_changed())
        studio.excluded_changed.connect(lambda _: self._lines_changed())
        studio.state_changed.connect(self._state_changed)
        self._capture_changed(studio.capture)
        self._state_changed(studio.state)
        if studio.snapshot is not None:
            self._snapshot_changed(studio.snapshot)

    def close(self) -> None:
        """End the thread."""
        self.thread.close()

    # ---- what is looked at

    @property
    def frame(self) -> int | None:
        """The photo that is looked through; None where the capture no longer holds it."""
        frame, capture = self.studio.view_frame, self.studio.capture
        return frame if capture is not None and frame is not None and frame < len(capture.frames) else None

    @property
    def photo_camera(self) -> Camera | None:
        """Its camera."""
        return None if self.frame is None else self.studio.capture.frames[self.frame].camera

    @property
    def comparing(self) -> Compare:
        """The comparison in force: none without a photo or a render to compare."""
        return self.compare if self.frame is not None and self.studio.snapshot is not None else "none"

    @property
    def selecting(self) -> bool:
        """Whether the box in the view selects splats, instead of limiting the reconstruction."""
        return self.studio.edits_splats

    @property
    def box(self) -> np.ndarray | None:
        """[2,3] what there is to see lies in it."""
        snapshot = self.studio.snapshot
        if snapshot is None:
            return None
        if snapshot.mesh is not None and len(snapshot.mesh.vertices):
            return snapshot.mesh.box.astype(float)
        if snapshot.shows_splats:
            return snapshot.gaussians.most_box
        if snapshot.volume is not None:
            return np.asarray(snapshot.volume.box, float)
        return None if snapshot.box is None else np.asarray(snapshot.box, float)

    def areas(self) -> list[QRectF]:
        """Where pictures are painted, logical pixels: the render's, and the photo's where they are side by side."""
        width, height = self.width, self.height
        if self.frame is None:
            return [QRectF(0, 0, width, height)]
        side = self.comparing == "side"
        across = side and width >= height  # beside each other, or one above the other
        part = ((width - GAP) / 2 if across else width), ((height - GAP) / 2 if side and not across else height)
        fit = fitted(self.photo_camera, max(1, int(part[0])), max(1, int(part[1])))
        areas = []
        for number in range(2 if side else 1):
            left = (part[0] + GAP) * number if across else 0
            top = (part[1] + GAP) * number if side and not across else 0
            areas.append(QRectF(left + (part[0] - fit[0]) / 2, top + (part[1] - fit[1]) / 2, *fit))
        return areas

    def camera(self, width: int, height: int) -> Camera:
        """The view on a picture of this size."""
        if self.frame is None:
            return self.control.camera(width, height)
        return self.window.camera(self.photo_camera, width, height)

    @property
    def has_lines(self) -> bool:
        """Whether grid and cameras are in the picture itself."""
        return self.drawn is not None and self.drawn.image is not None and self.drawn.image.has_lines

    def _lines_changed(self) -> None:
        if self.has_lines:
            self.ask(patient=True)

    def shown_camera(self) -> Camera:
        """The camera of what is on the screen, in the canvas's logical pixels."""
        area = self.areas()[0]
        width, height = max(1, int(area.width())), max(1, int(area.height()))
        drawn = self.drawn
        same = drawn is not None and (drawn.request.photo is None) == (self.frame is None)
        camera = drawn.request.camera.resized(width, height) if same else self.camera(width, height)
        return camera.cropped(-area.x(), -area.y(), self.width, self.height)

    # ---- pictures

    def ask(self, moving: bool = False, patient: bool = False) -> None:
        """Have the present view drawn."""
        if self.studio.capture is None and self.studio.snapshot is None:
            self.drawn = None
            self.pictured.emit()
            return
        area = self.areas()[0]
        ratio = min(self.ratio, (MOST_PIXELS / max(area.width() * area.height(), 1)) ** 0.5)
        width, height = max(1, round(area.width() * ratio)), max(1, round(area.height() * ratio))
        photo = None
        if self.frame is not None:
            photo = PhotoPart(self.studio.capture, self.frame, self.window.rectangle(self.photo_camera))
            if self.comparing in ERROR_MAPS:  # between the photo's own pixels there is nothing to compare with
                width = max(1, min(width, round(photo.rectangle[2])))
                height = max(1, min(height, round(photo.rectangle[3])))
        self.thread.submit(
            DrawRequest(
                self.studio.snapshot,
                self.camera(width, height),
                self.display,
                self.comparing,
                self.studio.relight,
                self.exposure,
                self.background,
                photo,
                moving,
                patient,
                lines_of(self),
            )
        )

    def _take(self) -> None:
        drawn = self.thread.newest()
        if drawn is None or (self.studio.capture is None and self.studio.snapshot is None):
            return
        if self.drawn is None or self.drawn.request is not drawn.request:
            self.latencies = [*self.latencies[-199:], time.perf_counter() - drawn.request.asked]
        self.drawn = drawn
        self.pictured.emit()

    def resize(self, width: int, height: int, ratio: float) -> None:
        """The canvas has another size, in logical pixels, or pixel ratio."""
        if (width, height, ratio) != (self.width, self.height, self.ratio):
            self.width, self.height, self.ratio = max(1, width), max(1, height), ratio
            self.ask(moving=True)

    # ---- moves

    def free(self) -> None:
        """Leave the photo and go on with a free camera from there."""
        if self.frame is not None:
            self.control.take(self.photo_camera)
            self._framed_surface = True
            self.studio.look_through(None)

    def orbit(self, right: float, down: float) -> None:
        """By a drag of logical pixels."""
        self.free()
        self.control.orbit(right, down)
        self._moved()

    def pan(self, right: float, down: float) -> None:
        """By a drag of logical pixels; moves a magnified photo."""
        if self.frame is not None:
            area = self.areas()[0]
            self.window.pan(right / area.width(), down / area.height())
        else:
            self.control.pan(right, down, self.width, self.height)
        self._moved()

    def zoom(self, notches: float, x: float, y: float) -> None:
        """Toward the cursor; magnifies a photo."""
        if self.frame is not None:
            area = next((a for a in self.areas() if a.contains(x, y)), self.areas()[0])
            self.window.zoom(notches, (x - area.x()) / area.width(), (y - area.y()) / area.height())
        else:
            self.control.zoom(notches, x, y, self.width, self.height)
        self._moved()

    def fly(self, right: float, up: float, forward: float, seconds: float) -> None:
        """While keys are held."""
        self.free()
        self.control.fly(right, up, forward, seconds)
        self._moved()

    def turn(self, seconds: float) -> None:
        """The turntable goes on."""
        self.free()
        self.control.turn(seconds)
        self._moved()

    def look_at_pixel(self, x: float, y: float) -> None:
        """Make the surface under the cursor what the camera turns about."""
        column, row = self.pixel(x, y)
        if self.frame is not None or self.drawn is None or self.drawn.image is None:
            return
        depth = self.drawn.image.at(column, row).depth
        if depth is not None:
            camera = self.drawn.camera
            local = [
                (column + 0.5 - camera.centre[0]) / camera.focal[0],
                (row + 0.5 - camera.centre[1]) / camera.focal[1],
            ]
            self.control.look_at_point(camera.world_from_camera[:3, :3] @ [*local, 1.0] * depth + camera.position)
            self.ask()

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """(column, row) of the drawn picture at a place of the canvas; -1 outside."""
        if self.drawn is not None:
            for area in self.areas():
                if area.contains(x, y):
                    camera = self.drawn.camera
                    column = int((x - area.x()) / area.width() * camera.width)
                    row = int((y - area.y()) / area.height() * camera.height)
                    return min(column, camera.width - 1), min(row, camera.height - 1)
        return -1, -1

    def picked(self, x: float, y: float) -> Picked | None:
        """The point of the surface at a place of the canvas."""
        column, row = self.pixel(x, y)
        if column < 0 or self.drawn.image is None or self.drawn.request.snapshot is None:
            return None
        return picked_in(self.drawn, column, row)

    def hidden(self, places: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """[N] whether the surface on the screen covers what is at canvas places [N,2] and camera depth [N]."""
        if self.drawn is None or self.drawn.image is None or self.frame is not None:
            return np.zeros(len(depth), bool)
        return covered(self.drawn, places / (self.width, self.height), depth)

    def _moved(self) -> None:
        self._framed_surface = True
        self.ask(moving=True)

    # ---- choices

    def set_display(self, display: Display) -> None:
        """Show something else of the surface."""
        self.display = display
        self._chosen()

    def set_compare(self, compare: Compare) -> None:
        """Hold the render against the photo in another way."""
        self.compare = compare
        if compare != "none" and self.frame is None and self.studio.capture is not None:
            self.studio.look_through(self.nearest_photo())
        self._chosen()

    def set_exposure(self, stops: float) -> None:
        """Brighter or darker, for looking only."""
        self.exposure = stops
        self._chosen()

    def set_draw_with(self, choice: DrawWith) -> None:
        """Have the pictures drawn by something else."""
        self.thread.draw_with(choice)
        self._chosen()

    def set_shown(self, what: str, shown: bool) -> None:
        """Switch `grid`, `frusta_shown`, `region_shown`, `background` or `turning`."""
        setattr(self, what, shown)
        self._chosen()

    def frame_object(self) -> None:
        """All of the object in view."""
        box = self.box if self.box is not None else self.looked_at
        self.window.reset()
        if self.frame is None:
            self.control.frame(box)
        self._chosen()

    def axis_view(self, view: AxisView) -> None:
        """Look along an axis."""
        self.free()
        self.control.axis_view(view)
        self._moved()
        self.changed.emit()

    def next_photo(self, step: int = 1) -> None:
        """Look through the next photo, or the one before."""
        capture = self.studio.capture
        if capture is not None and capture.frames:
            count = len(capture.frames)
            self.studio.look_through(
                (self.frame + step) % count if self.frame is not None else 0 if step > 0 else count - 1
            )

    def nearest_photo(self) -> int:
        """The photo whose camera stands nearest to where the view is seen from, and looks the same way."""
        pose = self.control.camera(1, 1)
        cameras = [frame.camera for frame in self.studio.capture.frames]
        apart = np.linalg.norm(self.frusta.centres - pose.position, axis=1) / max(self.control.distance, 1e-12)
        turned = 1 - np.array([camera.forward @ pose.forward for camera in cameras])
        return int(np.argmin(apart + turned))

    def _chosen(self) -> None:
        self.changed.emit()
        self.ask()

    # ---- news from the studio

    def _capture_changed(self, capture) -> None:
        cameras = [frame.camera for frame in capture.frames] if capture is not None else []
        self.frusta = Frusta(cameras)
        self.looked_at = looked_at(cameras)
        self._framed_surface = False
        self.drawn = None
        self.thread.forget()
        if capture is not None:
            self.control = CameraControl(capture.up)
            reach = np.stack([self.frusta.centres.min(0), self.frusta.centres.max(0)]) if cameras else self.looked_at
            self.control.frame(
                np.stack([np.minimum(reach[0], self.looked_at[0]), np.maximum(reach[1], self.looked_at[1])])
            )
            self.control.pivot = self.looked_at.mean(0)
        self._chosen()

    def _snapshot_changed(self, snapshot) -> None:
        capture = self.studio.capture
        if snapshot is None and capture is None:
            self._framed_surface = False
        if snapshot is not None and not self._framed_surface and self.box is not None:
            if capture is None:
                self.control = CameraControl(SPLAT_FILES_UP)
            if snapshot.shows_splats and snapshot.splat_look.background is not None and capture is not None:
                self.control.take(capture.frames[capture.train[0]].camera)  # a whole scene is seen from within
            else:
                self.control.frame(self.box)
            self._framed_surface = True
        if snapshot is None:
            self.thread.forget()
        first = self.drawn is None or self.drawn.request.snapshot is None
        if snapshot is None or first:
            self.changed.emit()
        self.ask(patient=not first and snapshot is not None)

    def _frame_changed(self, _frame) -> None:
        self.window.reset()
        self._chosen()

    def _state_changed(self, state: str) -> None:
        was, self.thread.training = self.thread.training, state == "running"
        if was and not self.thread.training and self.studio.snapshot is not None:
            self.ask()  # in full, what was drawn small to leave the machine to the steps
        if state == "running" and not self._warmed:
            self._warmed = True
            self.thread.run(self.thread.warm_up)
        self.changed.emit()
