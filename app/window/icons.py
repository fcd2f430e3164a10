"""Icons drawn by code, in the colours of the palette and sharp at every size."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPainterPath, QPalette, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QApplication

SIDE = 24.0  # units of the drawings below


def icon(name: str) -> QIcon:
    """The icon of that name; KeyError where there is none."""
    return QIcon(_Engine(name, _DRAWINGS[name]))


def names() -> list[str]:
    """Every icon there is."""
    return sorted(_DRAWINGS)


class _Engine(QIconEngine):
    """Draws when asked, so that a change of theme needs no new icons."""

    def __init__(self, name: str, drawing) -> None:
        super().__init__()
        self.name, self.drawing = name, drawing

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        group = QPalette.ColorGroup.Disabled if mode == QIcon.Mode.Disabled else QPalette.ColorGroup.Active
        color = QApplication.palette().color(group, QPalette.ColorRole.ButtonText)
        side = min(rect.width(), rect.height())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(rect.x() + (rect.width() - side) / 2, rect.y() + (rect.height() - side) / 2)
        painter.scale(side / SIDE, side / SIDE)
        self.drawing(painter, color, mode == QIcon.Mode.Disabled)
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        made = QPixmap(size)
        made.fill(Qt.GlobalColor.transparent)
        painter = QPainter(made)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return made

    def clone(self) -> QIconEngine:
        return _Engine(self.name, self.drawing)


def _fill(painter: QPainter, color: QColor, points: list[tuple[float, float]]) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawPolygon(QPolygonF([QPointF(*point) for point in points]))


def _line(painter: QPainter, color: QColor, width: float = 2.2) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))


def _run(painter: QPainter, color: QColor, disabled: bool) -> None:
    _fill(painter, color if disabled else QColor("#3fa66b"), [(6, 3.5), (20.5, 12), (6, 20.5)])


def _pause(painter: QPainter, color: QColor, disabled: bool) -> None:
    for x in (6.0, 14.0):
        painter.fillRect(QRectF(x, 4, 4.4, 16), color)


def _step(painter: QPainter, color: QColor, disabled: bool) -> None:
    painter.fillRect(QRectF(4, 4, 3.4, 16), color)
    _fill(painter, color, [(10, 4), (21, 12), (10, 20)])


def _until(painter: QPainter, color: QColor, disabled: bool) -> None:
    _fill(painter, color, [(3.5, 4), (14.5, 12), (3.5, 20)])
    painter.fillRect(QRectF(17, 4, 3.4, 16), color)


def _stop(painter: QPainter, color: QColor, disabled: bool) -> None:
    painter.fillRect(QRectF(5, 5, 14, 14), color if disabled else QColor("#cf5b52"))


def _revert(painter: QPainter, color: QColor, disabled: bool) -> None:
    _line(painter, color)
    path = QPainterPath()
    path.arcMoveTo(QRectF(5, 5, 14, 14), 150)
    path.arcTo(QRectF(5, 5, 14, 14), 150, -280)
    painter.drawPath(path)
    _fill(painter, color, [(2.2, 5.2), (9.6, 8.4), (3.4, 13)])


def _camera(painter: QPainter, color: QColor, disabled: bool) -> None:
    _line(painter, color, 1.9)
    painter.drawRoundedRect(QRectF(2.5, 7, 19, 13), 2, 2)
    painter.drawEllipse(QPointF(12, 13.4), 3.8, 3.8)
    painter.drawPolyline(QPolygonF([QPointF(8, 7), QPointF(9.5, 4), QPointF(14.5, 4), QPointF(16, 7)]))


def _cancel(painter: QPainter, color: QColor, disabled: bool) -> None:
    _line(painter, color)
    painter.drawLine(QPointF(6, 6), QPointF(18, 18))
    painter.drawLine(QPointF(18, 6), QPointF(6, 18))


def _app(painter: QPainter, color: QColor, disabled: bool) -> None:
    """A cube taken apart into its wires: half shaded, half drawn."""
    blue, top = QColor("#2f7fbf"), QColor("#7cc0ee")
    _fill(painter, blue, [(12, 12), (12, 22.5), (2.5, 17), (2.5, 7)])
    _fill(painter, top, [(2.5, 7), (12, 1.5), (21.5, 7), (12, 12)])
    _line(painter, blue, 1.3)
    painter.drawPolygon(QPolygonF([QPointF(12, 12), QPointF(21.5, 7), QPointF(21.5, 17), QPointF(12, 22.5)]))
    painter.drawLine(QPointF(12, 17.2), QPointF(21.5, 12))
    painter.drawLine(QPointF(16.7, 9.5), QPointF(16.7, 19.7))


_DRAWINGS = {
    "run": _run,
    "pause": _pause,
    "step": _step,
    "until": _until,
    "stop": _stop,
    "revert": _revert,
    "camera": _camera,
    "cancel": _cancel,
    "app": _app,
}
