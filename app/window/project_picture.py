"""Keeps preview.png in the project's folder, the picture that the start page shows of a run that is not finished:
one of its photos at first, and what was made of them as soon as there is a surface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QImageReader

from app.window.recent import COMPARISON, PREVIEW, PROJECT

if TYPE_CHECKING:
    from app.window.studio import Studio

EVERY_SECONDS, FIRST_SECONDS = 60, 5
SIZE = (208, 296)  # pixels, height and width


def _holds_project(folder: Path) -> bool:
    """Whether the project is still there: else its name stays free for putting it back."""
    return (folder / PROJECT).is_file()


def write_picture(session: Any) -> Path | None:
    """Draw the session's mesh of this moment to its project's preview.png; None before there is a mesh.

    For the engine thread: it draws with kernels.
    """
    import numpy as np

    from engine.exchange import AssetRenderer, turntable, write_png
    from engine.scene import Environment, Material
    from engine.scene.conventions import linear_to_srgb

    snapshot = session.snapshot_now()
    if snapshot.mesh is None or not len(snapshot.mesh.triangles):
        return None
    textured = snapshot.material is not None and snapshot.mesh.uvs is not None
    light = snapshot.environment or Environment(np.full((8, 16, 3), 0.8, np.float32))
    renderer = AssetRenderer(snapshot.mesh, snapshot.material if textured else Material(), light)
    color, alpha = renderer.render(turntable(snapshot.mesh.box, session.capture.up, 1, SIZE)[0])
    straight = linear_to_srgb(color / np.maximum(alpha, 1e-6)[..., None])
    pixels = (np.concatenate([straight, alpha[..., None]], -1) * 255 + 0.5).astype(np.uint8)
    path = session.project.folder / PREVIEW
    if not _holds_project(path.parent):
        return None
    write_png(path, pixels)
    return path


def write_photo(capture: Any, folder: Path) -> None:
    """Make a photo of the capture the picture of a project that has none; one that cannot be read is left out."""
    path = folder / PREVIEW
    if not _holds_project(folder) or path.exists() or (folder / COMPARISON).exists() or not capture.train:
        return
    reader = QImageReader(str(capture.frames[capture.train[0]].image_path))
    reader.setAutoTransform(True)
    image = reader.read()
    if not image.isNull():
        modes = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        image.scaled(SIZE[1], SIZE[0], *modes).save(str(path))


class ProjectPicture(QObject):
    """Has it drawn at the first surface, once a minute during a run, and when the run pauses."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio)
        self.studio = studio
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.draw)
        self._has_surface = False
        studio.state_changed.connect(self._state)
        studio.session_changed.connect(self._session_changed)
        studio.snapshot_changed.connect(self._snapshot_changed)

    def _session_changed(self, session: Any) -> None:
        self._has_surface = False
        if session is not None:
            capture, folder = session.capture, Path(session.project.folder)
            self.studio.background("", lambda _: write_photo(capture, folder), None, lambda error: None)

    def _snapshot_changed(self, snapshot: Any) -> None:
        if snapshot is not None and snapshot.mesh is not None and not self._has_surface:
            self._has_surface = True
            if self._timer.isActive():
                self._timer.start(1000 * FIRST_SECONDS)

    def _state(self, state: str) -> None:
        if state == "running":
            self._timer.start(1000 * (FIRST_SECONDS if self._has_surface else EVERY_SECONDS))
            return
        self._timer.stop()
        if state == "paused":  # a finished run has its comparison
            self.draw()

    def draw(self) -> None:
        """Have it drawn between two steps; where that fails the old one stays."""
        self._timer.setInterval(1000 * EVERY_SECONDS)
        if self.studio.session is not None:
            self.studio.call(write_picture)
