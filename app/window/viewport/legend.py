"""Words and scales painted over the picture."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter

from app.window.viewport.compare import ERROR_RANGE, Compare, error_colors
from app.window.viewport.drawing import qimage

WORDS = QColor(235, 235, 238)
SHADE = QColor(20, 20, 22, 170)
BAR_WIDTH, BAR_MARGIN = 12, 12


def _font(painter: QPainter, pixels: int, bold: bool = False) -> None:
    font = QFont(painter.font())
    font.setPixelSize(pixels)
    font.setBold(bold)
    painter.setFont(font)


def paint_hint(painter: QPainter, area: QRectF, title: str, text: str) -> None:
    """A title and a sentence in the middle of `area`."""
    painter.setPen(WORDS)
    _font(painter, 18, bold=True)
    upper = QRectF(area.x() + 16, area.y(), area.width() - 32, area.height() / 2 - 4)
    flags = Qt.AlignmentFlag.AlignHCenter.value | Qt.TextFlag.TextWordWrap.value
    painter.drawText(upper, flags | Qt.AlignmentFlag.AlignBottom.value, title)
    _font(painter, 13)
    lower = QRectF(upper.x(), area.y() + area.height() / 2 + 4, upper.width(), area.height() / 2 - 4)
    painter.drawText(lower, flags | Qt.AlignmentFlag.AlignTop.value, text)


def paint_caption(painter: QPainter, area: QRectF, text: str, right: bool = False) -> None:
    """A few words at an upper corner of a picture."""
    _font(painter, 12)
    width = painter.fontMetrics().horizontalAdvance(text) + 14
    left = area.right() - width - 8 if right else area.x() + 8
    label = QRectF(left, area.y() + 8, width, 22)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(SHADE)
    painter.drawRoundedRect(label, 4, 4)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(WORDS)
    painter.drawText(label, Qt.AlignmentFlag.AlignCenter, text)


def _bar(compare: Compare) -> QImage:
    column = np.linspace(ERROR_RANGE[compare], 0, 128, dtype=np.float32)[:, None]
    return qimage(error_colors(column, compare))


def paint_error_bar(painter: QPainter, area: QRectF, compare: Compare) -> None:
    """The colours of an error map with their numbers, at the picture's right border."""
    height = min(180.0, area.height() - 2 * BAR_MARGIN - 20)
    if height < 40:
        return
    back = QRectF(area.right() - 64, area.y() + BAR_MARGIN, 56, height + 20)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(SHADE)
    painter.drawRoundedRect(back, 4, 4)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    bar = QRectF(back.right() - BAR_WIDTH - 8, back.y() + 10, BAR_WIDTH, height)
    painter.drawImage(bar, _bar(compare))
    painter.setPen(WORDS)
    _font(painter, 11)
    for share in (0.0, 0.5, 1.0):
        y = bar.bottom() - share * bar.height()
        label = QRectF(back.x(), y - 8, bar.x() - back.x() - 5, 16)
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(label, flags, f"{share * ERROR_RANGE[compare]:.2g}")
