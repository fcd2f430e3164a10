"""The picture of an environment map, all around; dragging it sideways turns the light."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget


class LightPictureView(QWidget):
    """Shows the map as it surrounds the scene, its front in the middle."""

    turned = Signal(float)  # degrees, 0 to 360

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("light_picture")
        self.setToolTip("The light from all around, front in the middle; drag sideways to turn it about the up axis")
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumSize(160, 80)
        self.pixmap: QPixmap | None = None
        self.degrees = 0.0
        self.text = "No light yet"
        self._held: tuple[float, float] | None = None  # where the drag began, and the angle then

    def sizeHint(self) -> QSize:
        """Twice as wide as high, as the map."""
        return QSize(320, 160)

    def hasHeightForWidth(self) -> bool:
        """The map keeps its shape."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Half the width, within reason."""
        return 80 if self.pixmap is None else min(width // 2, 320)

    def show_map(self, rgb: np.ndarray | None) -> None:
        """Show another map, [H,2H,3] uint8, or none."""
        if (self.pixmap is None) != (rgb is None):
            self.updateGeometry()
        self.pixmap = None
        if rgb is not None:
            rgb = np.ascontiguousarray(rgb)
            height, width = rgb.shape[:2]
            image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self.pixmap = QPixmap.fromImage(image.copy())
        self.update()

    def set_degrees(self, degrees: float) -> None:
        """Turn the picture."""
        self.degrees = degrees % 360
        self.update()

    @property
    def frame(self) -> QRectF:
        """Where the map is drawn."""
        width = min(self.width(), 2 * self.height())
        return QRectF((self.width() - width) / 2, (self.height() - width / 2) / 2, width, width / 2)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The map twice, side by side, as far as it is seen; a mark at the front."""
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            frame = self.frame
            if self.pixmap is None:
                painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
                painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.text)
                return
            painter.setClipRect(frame)
            shift = (-self.degrees / 360 % 1) * frame.width()
            whole = QRectF(self.pixmap.rect())
            for left in (shift - frame.width(), shift):
                painter.drawPixmap(frame.translated(left, 0), self.pixmap, whole)
            for color, width in ((QColor(0, 0, 0, 120), 3), (QColor(255, 255, 255, 200), 1)):
                painter.setPen(QPen(color, width))
                x = frame.center().x()
                painter.drawLine(int(x), int(frame.bottom() - 9), int(x), int(frame.bottom()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the map."""
        if event.button() == Qt.MouseButton.LeftButton and self.pixmap is not None:
            self._held = event.position().x(), self.degrees

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Turn with the mouse."""
        if self._held is not None:
            start, degrees = self._held
            self.turned.emit((degrees - (event.position().x() - start) / self.frame.width() * 360) % 360)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go."""
        self._held = None
