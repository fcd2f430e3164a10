"""One texture at full size in a window of its own: zoom with the wheel, pan by dragging, read texels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPaintEvent, QPalette, QPixmap, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.window.actions import button
from app.window.material_maps import CHANNELS, MAPS, TextureImage, texture_image, values_of

if TYPE_CHECKING:
    from app.window.studio import Studio

PERIOD_MS = 1000
SMALLEST, LARGEST = 0.05, 64.0  # screen pixels per texel


class TextureCanvas(QWidget):
    """The texture, placed by a scale and an offset; tells what is under the cursor."""

    pointed = Signal(int, int)  # texel
    zoomed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("texture_canvas")
        self.setToolTip("")
        self.setMouseTracking(True)
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.pixmap: QPixmap | None = None
        self.scale, self.offset = 1.0, QPointF(0, 0)
        self._fitted = True
        self._held: QPointF | None = None

    def show_image(self, rgb: np.ndarray) -> None:
        """Show other pixels, [H,W,3] uint8; zoom and place stay where the size does."""
        rgb = np.ascontiguousarray(rgb)
        height, width = rgb.shape[:2]
        before = self.pixmap.size() if self.pixmap is not None else None
        self.pixmap = QPixmap.fromImage(QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888))
        if self._fitted or before != self.pixmap.size():
            self.fit()
        self.update()

    def fit(self) -> None:
        """Show all of it, as large as there is room for."""
        if self.pixmap is None:
            return
        self.scale = min(self.width() / self.pixmap.width(), self.height() / self.pixmap.height())
        self._centre()
        self._fitted = True
        self.zoomed.emit(self.scale)
        self.update()

    def actual_size(self) -> None:
        """One screen pixel per texel."""
        self._fitted, self.scale = False, 1.0
        if self.pixmap is not None:
            self._centre()
        self.zoomed.emit(self.scale)
        self.update()

    def _centre(self) -> None:
        size = self.pixmap.size() * self.scale
        self.offset = QPointF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2)

    def texel(self, position: QPointF) -> tuple[int, int]:
        """(x, y) of the texel under a point of the widget."""
        place = (position - self.offset) / self.scale
        return int(np.floor(place.x())), int(np.floor(place.y()))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The texture; texels stay sharp squares when they are large."""
        with QPainter(self) as painter:
            painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
            if self.pixmap is not None:
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.scale < 1)
                size = self.pixmap.size()
                target = QRectF(self.offset.x(), self.offset.y(), size.width() * self.scale, size.height() * self.scale)
                painter.drawPixmap(target, self.pixmap, QRectF(self.pixmap.rect()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fits again where it was fitted."""
        super().resizeEvent(event)
        if self._fitted:
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the cursor."""
        factor = 1.2 ** (event.angleDelta().y() / 120)
        scale = min(max(self.scale * factor, SMALLEST), LARGEST)
        place = event.position()
        self.offset = place - (place - self.offset) * (scale / self.scale)
        self.scale, self._fitted = scale, False
        self.zoomed.emit(scale)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold."""
        self._held = event.position()
        self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go."""
        self._held = None
        self.unsetCursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan while held; tell the texel."""
        if self._held is not None:
            self.offset = self.offset + event.position() - self._held
            self._held, self._fitted = event.position(), False
            self.update()
        self.pointed.emit(*self.texel(event.position()))


class TextureView(QWidget):
    """Follows the newest material while it is open, at most once a second."""

    def __init__(self, studio: Studio, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName(f"texture_view_{key}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._studio, self.key = studio, key
        self.shown: TextureImage | None = None
        self._texel: tuple[int, int] | None = None
        self._working = self._dirty = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._work)
        self.canvas = TextureCanvas()
        self.canvas.pointed.connect(self._point)
        self.canvas.zoomed.connect(lambda scale: self.zoom.setText(f"{100 * scale:.0f} %"))
        self.channel = QComboBox()
        self.channel.setObjectName("texture_channel")
        self.channel.setToolTip("Which channel to show")
        self.channel.addItems(CHANNELS)
        self.channel.activated.connect(lambda _index: self._work())
        fit = button("texture_fit", "Fit", "Show the whole texture", self.canvas.fit)
        actual = button("texture_actual", "100 %", "One screen pixel per texel", self.canvas.actual_size)
        self.zoom, self.values, self.facts = QLabel(), QLabel("Point at a texel to read it"), QLabel()
        self.values.setObjectName("texture_values")
        bar, below = QHBoxLayout(), QHBoxLayout()
        bar.addWidget(QLabel("Channel"))
        for widget in (self.channel, fit, actual, self.zoom):
            bar.addWidget(widget)
        bar.addStretch(1)
        below.addWidget(self.values, 1)
        below.addWidget(self.facts)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(bar)
        layout.addWidget(self.canvas, 1)
        layout.addLayout(below)
        self.setWindowTitle(f"{MAPS[key][0]} texture")
        self.resize(720, 760)
        material = self._material
        three = material is not None and np.ndim(values_of(material, key)) == 3
        for widget in (self.channel, bar.itemAt(0).widget()):
            widget.setVisible(three)
        studio.snapshot_changed.connect(self._snapshot_changed)
        self._work()

    @property
    def _material(self) -> Any:
        return None if self._studio.snapshot is None else self._studio.snapshot.material

    def _snapshot_changed(self, _snapshot: Any) -> None:
        if not self._later.isActive():
            self._later.start(PERIOD_MS)

    def _work(self) -> None:
        material, key, channel = self._material, self.key, self.channel.currentText()
        if material is None or values_of(material, key) is None:
            return
        if self._working:
            self._dirty = True
            return
        self._working, self._dirty = True, False
        work = self._studio.background
        work("", lambda _handle: texture_image(material, key, 0, channel), self._show, self._failed)

    def _failed(self, error: BaseException) -> None:
        self._working = False
        self._studio.say(error)

    def _show(self, image: TextureImage | None) -> None:
        self._working = False
        if image is None:
            return
        self.shown = image
        self.canvas.show_image(image.rgb)
        self.facts.setText(f"{image.size[1]} × {image.size[0]}")
        if self._texel is not None:
            self._point(*self._texel)
        if self._dirty:
            self._work()

    def _point(self, x: int, y: int) -> None:
        self._texel = x, y
        text = "" if self.shown is None else self.shown.text_at(x, y)
        self.values.setText(text or "Point at a texel to read it")
