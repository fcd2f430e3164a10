"""Pictures of the gradient lens: maps in one diverging colour bar, the part of them that moves, and bars of cosines."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QLinearGradient, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

BLUE, WHITE, RED = np.array([33, 102, 172.0]), np.array([247, 247, 247.0]), np.array([178, 24, 43.0])
TITLES = {"analytic": "Analytic", "stochastic": "Stochastic", "differences": "Finite differences"}
LEAST_SIDE = 10  # pixels of the photo that are shown at least
SHOWN_SHARE = 0.03  # of the largest value: what is smaller does not widen the part shown
GAP = 8


def diverging(values: np.ndarray, limit: float) -> np.ndarray:
    """uint8 [H,W,3] of [H,W]: blue at -limit, white at 0, red at +limit and beyond."""
    share = np.clip(values / max(limit, 1e-30), -1, 1)[..., None]
    colors = WHITE + np.abs(share) * (np.where(share < 0, BLUE, RED) - WHITE)
    return (colors + 0.5).astype(np.uint8)


def color_limit(maps: dict[str, np.ndarray]) -> float:
    """The symmetric end of the colours that suits all maps: all but the 0.5 % largest values of the ones that count."""
    values = np.abs(np.concatenate([part[part != 0] for part in maps.values()]))
    return float(np.quantile(values, 0.995)) if len(values) else 0.0


def moved_part(maps: dict[str, np.ndarray]) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) of the pixels that move, a little widened; all of the photo where none does."""
    size = next(iter(maps.values())).shape
    judged = [np.abs(values) for name, values in maps.items() if name != "stochastic" or len(maps) == 1]
    strength = np.sum([values / max(float(values.max()), 1e-30) for values in judged], 0)
    rows, columns = np.nonzero(strength > SHOWN_SHARE)
    if not len(rows):
        return 0, 0, size[1], size[0]
    ends = []
    for places, side in ((columns, size[1]), (rows, size[0])):
        low, high = int(places.min()) - 1, int(places.max()) + 2
        lacking = max(LEAST_SIDE - (high - low), 0)
        low = max(low - lacking // 2, 0)
        ends.append((low, min(max(high, low + LEAST_SIDE), side)))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def number(value: float) -> str:
    """A signed number with three digits."""
    return f"{value:+.3g}" if value else "0"


class LensMaps(QWidget):
    """The three maps of one lens side by side, with sums below and one colour bar."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lens_maps")
        self.setToolTip(
            "How every pixel's loss changes with what was chosen: red grows, blue shrinks; numbers are sums"
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(300, 130)
        self.lens: Any = None
        self.text = ""  # in place of maps
        self._images: dict[str, QImage] = {}
        self._limit = 0.0
        self.part = (0, 0, 1, 1)

    def sizeHint(self) -> QSize:
        """Three squares and the bar."""
        return QSize(620, 200)

    def show_lens(self, lens: Any) -> None:
        """Show a `Lens`, or none."""
        self.lens, self._images = lens, {}
        if lens is not None:
            self._limit, self.part = color_limit(lens.maps), moved_part(lens.maps)
            x0, y0, x1, y1 = self.part
            for name, values in lens.maps.items():
                rgb = np.ascontiguousarray(diverging(values[y0:y1, x0:x1], self._limit))
                image = QImage(rgb.data, x1 - x0, y1 - y0, 3 * (x1 - x0), QImage.Format.Format_RGB888)
                self._images[name] = image.copy()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Maps, captions, sums and the bar; or the text."""
        painter = QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        plain, pale = (
            self.palette().color(role) for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.PlaceholderText)
        )
        if self.lens is None:
            painter.setPen(pale)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(8, 4, -8, -4), flags, self.text)
            return
        line = painter.fontMetrics().height()
        bar = painter.fontMetrics().horizontalAdvance("+0.000888") + 22
        x0, y0, x1, y1 = self.part
        width = (self.width() - bar - 3 * GAP) / 3
        height = self.height() - 2 * line - 6
        scale = min(width / (x1 - x0), height / (y1 - y0))
        shown = (x1 - x0) * scale, (y1 - y0) * scale
        for place, (name, image) in enumerate(self._images.items()):
            left = place * (width + GAP)
            frame = QRectF(left + (width - shown[0]) / 2, line + 2 + (height - shown[1]) / 2, *shown)
            painter.drawImage(frame, image, QRectF(image.rect()))
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
            painter.drawRect(frame)
            painter.setPen(plain)
            centred = Qt.AlignmentFlag.AlignCenter
            title = painter.fontMetrics().elidedText(TITLES[name], Qt.TextElideMode.ElideRight, int(width))
            painter.drawText(QRectF(left, 0, width, line), centred, title)
            painter.setPen(pale)
            words = number(self.lens.sums[name])
            if name == "stochastic":
                words += f" ± {self.lens.error:.2g}"
            painter.drawText(QRectF(left, self.height() - line - 2, width, line), centred, words)
        self._paint_bar(painter, QRectF(self.width() - bar + 4, line + 2, 12, height), plain)

    def _paint_bar(self, painter: QPainter, bar: QRectF, color: QColor) -> None:
        gradient = QLinearGradient(bar.topLeft(), bar.bottomLeft())
        for place, rgb in ((0, RED), (0.5, WHITE), (1, BLUE)):
            gradient.setColorAt(place, QColor(*(int(value) for value in rgb)))
        painter.fillRect(bar, gradient)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
        painter.drawRect(bar)
        painter.setPen(color)
        half = painter.fontMetrics().ascent() / 2
        for place, value in ((bar.top() + 2 * half, self._limit), (bar.center().y() + half, 0.0)):
            painter.drawText(QPointF(bar.right() + 5, place), number(value))
        painter.drawText(QPointF(bar.right() + 5, bar.bottom()), number(-self._limit))


class CosineBars(QWidget):
    """How well the engines agree: a row per group of parameters, a bar per pair of engines."""

    PAIRS = {
        ("analytic", "stochastic"): "Analytic –\nstochastic",
        ("analytic", "differences"): "Analytic –\ndifferences",
        ("stochastic", "differences"): "Stochastic –\ndifferences",
    }
    NAMES = {
        "vertices": "Vertices",
        "base_color": "Base colour",
        "roughness": "Roughness",
        "metallic": "Metallic",
        "light": "Light",
    }

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lens_cosines")
        self.setToolTip(
            "Cosine between the engines' gradients along the same smooth changes: 1 is the same direction. Near the "
            "end of a run the vertices' gradient is what is left of pixels that cancel, and engines may differ there."
        )
        self.setMinimumSize(300, 110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.report: list[Any] = []
        self.text = "Press Compare engines to see how well they agree on this photo."

    def show_report(self, report: list[Any]) -> None:
        """Show a list of `GroupReport`."""
        self.report = report
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The table, or the text."""
        painter = QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        palette = self.palette()
        if not self.report:
            painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(8, 4, -8, -4), flags, self.text)
            return
        metrics = painter.fontMetrics()
        first = max(metrics.horizontalAdvance(name) for name in self.NAMES.values()) + 12
        digits = metrics.horizontalAdvance("-0.000") + 6
        across = (self.width() - first) / len(self.PAIRS)
        head = 2.0 * metrics.height()
        row = min((self.height() - 4 - head) / len(self.report), head)
        centre = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
        for place, title in enumerate(self.PAIRS.values()):
            painter.drawText(QRectF(first + place * across, 0, across - 8, head), centre, title)
        for line, group in enumerate(self.report):
            top = head + line * row
            painter.setPen(palette.color(QPalette.ColorRole.WindowText))
            painter.drawText(QRectF(2, top, first, row), centre, self.NAMES[group.group])
            for place, pair in enumerate(self.PAIRS):
                value = group.cosine(*pair)
                left, width = first + place * across, across - digits - 12
                bar = QRectF(left, top + row / 2 - 4, width, 8)
                painter.fillRect(bar, palette.color(QPalette.ColorRole.Mid))
                if value == value:
                    colour = palette.color(QPalette.ColorRole.Highlight) if value > 0 else QColor(200, 70, 60)
                    painter.fillRect(QRectF(left, bar.top(), width * min(abs(value), 1), 8), colour)
                painter.drawText(
                    QRectF(left + width + 6, top, digits, row), centre, "–" if value != value else f"{value:.3f}"
                )


class LightTexels(QWidget):
    """The light's map; a click chooses one of its texels."""

    chosen = Signal(int, int)  # column, row

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lens_light")
        self.setToolTip("The light from all around: click where it comes from")
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMinimumSize(150, 75)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.size_in_texels = (0, 0)  # rows, columns
        self.texel: tuple[int, int] | None = None
        self._image: QImage | None = None

    def sizeHint(self) -> QSize:
        """Twice as wide as high."""
        return QSize(180, 90)

    def show_map(self, rgb: np.ndarray, size: tuple[int, int]) -> None:
        """Show a map [H,2H,3] uint8 of a light with so many (rows, columns)."""
        rgb = np.ascontiguousarray(rgb)
        height, width = rgb.shape[:2]
        self._image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self.size_in_texels = size
        self.update()

    @property
    def frame(self) -> QRectF:
        """Where the map is drawn."""
        width = min(self.width(), 2 * self.height())
        return QRectF((self.width() - width) / 2, (self.height() - width / 2) / 2, width, width / 2)

    def place_of(self, x: int, y: int) -> QPointF:
        """The middle of a texel on the widget."""
        rows, columns = self.size_in_texels
        frame = self.frame
        return QPointF(frame.x() + (x + 0.5) / columns * frame.width(), frame.y() + (y + 0.5) / rows * frame.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The map and a ring around the chosen texel."""
        with QPainter(self) as painter:
            if self._image is None:
                return
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.drawImage(self.frame, self._image, QRectF(self._image.rect()))
            if self.texel is not None:
                for color, width in ((QColor(0, 0, 0, 160), 4), (QColor(255, 255, 255), 2)):
                    painter.setPen(QPen(color, width))
                    painter.drawEllipse(self.place_of(*self.texel), 5, 5)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a texel."""
        frame, (rows, columns) = self.frame, self.size_in_texels
        if event.button() != Qt.MouseButton.LeftButton or self._image is None or not frame.contains(event.position()):
            return
        x = int((event.position().x() - frame.x()) / frame.width() * columns)
        y = int((event.position().y() - frame.y()) / frame.height() * rows)
        self.texel = min(x, columns - 1), min(y, rows - 1)
        self.update()
        self.chosen.emit(*self.texel)
