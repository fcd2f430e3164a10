"""The centre of the window: choices above, the picture, numbers below."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.window.studio import Studio
from app.window.viewport.canvas import Canvas
from app.window.viewport.photo_scores import PhotoScoring
from app.window.viewport.readout import Readout
from app.window.viewport.toolbar import ViewToolbar
from app.window.viewport.view_model import ViewModel


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

    def shut_down(self) -> None:
        """End the view thread and wait for it; the picture stays as it is."""
        self.model.close()
