"""The centre of the window: choices above, the picture, numbers below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.window.choosers import Question, ask_path
from app.window.studio import Studio
from app.window.viewport.canvas import Canvas
from app.window.viewport.photo_scores import PhotoScoring
from app.window.viewport.readout import Readout
from app.window.viewport.record import save_screenshot, save_turntable
from app.window.viewport.toolbar import ViewToolbar
from app.window.viewport.view_model import ViewModel
from engine.errors import UnrenderError


class Viewport(QWidget):
    """Shows the scene of `studio` from a free camera or through its photos; owns the view thread until `shut_down`."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("viewport")
        self.studio = studio
        self.model = ViewModel(studio, self)
        self.toolbar, self.canvas = ViewToolbar(self.model, self), Canvas(self.model, self)
        self.readout = Readout(self.model, self)
        self.scoring = PhotoScoring(self.model, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.toolbar)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.readout)
        self.canvas.pointed.connect(self.readout.point)
        self.choose = ask_path
        self.toolbar.picture_wanted.connect(lambda: self._ask("view", "png", "Picture", save_screenshot))
        self.toolbar.film_wanted.connect(lambda: self._ask("turntable", "mp4", "Film", save_turntable))

    def shut_down(self) -> None:
        """End the view thread and wait for it; the picture stays as it is."""
        self.model.close()

    def _ask(self, name: str, ending: str, kind: str, save: Callable) -> None:
        """Ask where to, then `save` there."""
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation) or str(Path.home())
        question = Question(
            f"Save the {kind.lower()}", "save", f"{kind} (*.{ending})", Path(folder) / f"{name}.{ending}"
        )

        def chosen(path: Path) -> None:
            path = path if path.suffix.lower() == f".{ending}" else path.with_name(f"{path.name}.{ending}")
            try:
                save(self, path, done=lambda written: self.studio.notice(f"Saved {written}"))
            except UnrenderError as error:  # the scene was closed meanwhile
                self.studio.say(error)

        self.choose(self, question, chosen)
