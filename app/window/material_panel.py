"""The material's textures as thumbnails that open at full size."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.window.material_maps import MAPS, TextureImage, texture_image
from app.window.texture_view import TextureView

if TYPE_CHECKING:
    from app.window.studio import Studio

PERIOD_MS = 1000  # between two sets of thumbnails
SIDE = 132  # pixels


class MaterialPanel(QWidget):
    """Shows the newest snapshot's textures; says when there will be some, before."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("material_panel")
        self._studio = studio
        self._working = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._work)
        self.views: dict[str, TextureView] = {}
        self.buttons = {key: self._tile(key) for key in MAPS}
        self._columns = 0
        self._grid = QGridLayout()
        self._grid.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        tiles = QWidget()
        tiles.setLayout(self._grid)
        self._scroll = QScrollArea()
        self._scroll.setWidget(tiles)
        self._scroll.setAccessibleName("Textures, scrolled")
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        self._arrange(2)
        self.waiting = QLabel()
        self.waiting.setObjectName("material_waiting")
        self.waiting.setWordWrap(True)
        self.waiting.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.waiting.setMargin(16)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._stack = QStackedLayout()
        outer.addLayout(self._stack)  # first, since it shows what is added, which must not be a window of its own then
        self._stack.addWidget(self.waiting)
        self._stack.addWidget(self._scroll)
        studio.snapshot_changed.connect(lambda _snapshot: self._changed())
        studio.recipe_changed.connect(lambda _key: self._changed())
        studio.state_changed.connect(lambda _state: self._changed())
        self._changed()

    def _tile(self, key: str) -> QToolButton:
        title, meaning = MAPS[key]
        button = QToolButton()
        button.setObjectName(f"texture_{key}")
        button.setText(title)
        button.setToolTip(f"{meaning}. Click to open it at full size.")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setIconSize(QSize(SIDE, SIDE))
        button.setFixedSize(SIDE + 14, SIDE + button.fontMetrics().height() * 2 + 18)
        button.setAutoRaise(True)
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        button.clicked.connect(partial(self.open, key))
        return button

    def _arrange(self, columns: int) -> None:
        if columns != self._columns:
            self._columns = columns
            for index, button in enumerate(self.buttons.values()):
                self._grid.addWidget(button, index // columns, index % columns)

    def resizeEvent(self, event: Any) -> None:
        """As many columns as there is room for."""
        super().resizeEvent(event)
        self._arrange(max(1, (self.width() - 24) // (SIDE + 20)))

    def showEvent(self, event: Any) -> None:
        """Catch up with what changed while nobody looked."""
        super().showEvent(event)
        self._changed()

    @property
    def _material(self) -> Any:
        return None if self._studio.snapshot is None else self._studio.snapshot.material

    def _changed(self) -> None:
        there = self._material is not None
        self._stack.setCurrentIndex(1 if there else 0)
        if not there:
            self.waiting.setText(self._when())
        elif self.isVisible() and not self._later.isActive():
            self._later.start(PERIOD_MS if any(not b.icon().isNull() for b in self.buttons.values()) else 0)

    def _when(self) -> str:
        """When textures will be there, in plain words."""
        stages = self._studio.stages
        maker = next((name for name in stages if name in ("mesh", "given")), None)
        if self._studio.state in ("empty", "opening"):
            return "Open images first; the textures of the result appear here."
        if maker is None:
            return "This recipe makes no textures: none of its stages unwraps the surface."
        done = ", ".join(stages[: stages.index(maker)])
        before = f", which comes after {done}" if done else ""
        if self._studio.state == "ready":
            return f"No textures yet. Press Run: they appear when the stage {maker} is done{before}."
        return f"No textures yet: they appear when the stage {maker} is done{before}."

    def _work(self) -> None:
        material = self._material
        if material is None or self._working or not self.isVisible():
            return
        self._working = True

        def work(_handle: Any) -> list[TextureImage]:
            images = (texture_image(material, key, 2 * SIDE) for key in MAPS)
            return [image for image in images if image is not None]

        self._studio.background("", work, self._show, self._failed)

    def _failed(self, error: BaseException) -> None:
        self._working = False
        self._studio.say(error)

    def _show(self, images: list[TextureImage]) -> None:
        self._working = False
        there = {image.key: image for image in images}
        for key, button in self.buttons.items():
            image = there.get(key)
            button.setVisible(image is not None)
            if image is not None:
                height, width = image.rgb.shape[:2]
                picture = QImage(image.rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
                button.setIcon(QIcon(_square(QPixmap.fromImage(picture))))
                rows, columns = image.size
                flat = rows == columns == 1
                button.setText(f"{MAPS[key][0]}\n" + ("one value" if flat else f"{columns} × {rows}"))

    def open(self, key: str) -> None:
        """Open a texture at full size, or bring its window to the front."""
        view = self.views.get(key)
        if view is None:
            view = self.views[key] = TextureView(self._studio, key, self)
            view.destroyed.connect(lambda *_: self.views.pop(key, None))
        view.show()
        view.raise_()
        view.activateWindow()


def _square(pixmap: QPixmap) -> QPixmap:
    modes = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    return pixmap.scaled(SIDE, SIDE, *modes)
