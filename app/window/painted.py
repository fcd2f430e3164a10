"""Widgets in the look of the style Fusion, with what it lacks: edges that can be seen on a dark ground, and buttons in
the highlight's colour. They follow the palette by themselves, and cost nothing when it changes."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import (
    QCheckBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOption,
    QStyleOptionButton,
    QStyleOptionToolButton,
    QStyleOptionViewItem,
    QToolBar,
    QToolButton,
    QWidget,
)

ROUND = 2.0  # pixels, of corners


def edge_color(widget: QWidget) -> QColor:
    """Between the text's and the ground's colour; paler where the widget is off."""
    role = QPalette.ColorRole.PlaceholderText if widget.isEnabled() else QPalette.ColorRole.Mid
    return widget.palette().color(role)


def _indicator(widget: QWidget, element: QStyle.SubElement) -> QRectF:
    """Where the style draws what is ticked, through the middles of its outer pixels."""
    option = QStyleOptionButton()
    widget.initStyleOption(option)
    return QRectF(widget.style().subElementRect(element, option, widget)).adjusted(0.5, 0.5, -0.5, -0.5)


class CheckBox(QCheckBox):
    """Fusion's, with an edge."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """As the style does, then the edge."""
        super().paintEvent(event)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(edge_color(self), 1))
            painter.drawRoundedRect(_indicator(self, QStyle.SubElement.SE_CheckBoxIndicator), ROUND, ROUND)


class CheckDelegate(QStyledItemDelegate):
    """Draws the items of a list or tree as the style does, and edges round the boxes to check."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """One item."""
        super().paint(painter, option, index)
        full = QStyleOptionViewItem(option)
        self.initStyleOption(full, index)
        if full.features & QStyleOptionViewItem.ViewItemFeature.HasCheckIndicator:
            view = full.widget
            box = view.style().subElementRect(QStyle.SubElement.SE_ItemViewItemCheckIndicator, full, view)
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(edge_color(view), 1))
            painter.drawRoundedRect(QRectF(box).adjusted(0.5, 0.5, -0.5, -0.5), ROUND, ROUND)
            painter.restore()


class RadioButton(QRadioButton):
    """Fusion's, with an edge, and the highlight's colour where it is chosen."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """As the style does, then the circle over its own."""
        super().paintEvent(event)
        circle, palette = _indicator(self, QStyle.SubElement.SE_RadioButtonIndicator), self.palette()
        side = min(circle.width(), circle.height())
        circle = QRectF(circle.x(), circle.y() + (circle.height() - side) / 2, side, side)
        chosen = self.isChecked()
        filled = palette.color(QPalette.ColorRole.Highlight if self.isEnabled() else QPalette.ColorRole.Mid)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(filled if chosen else edge_color(self), 1))
            painter.setBrush(filled if chosen else palette.color(QPalette.ColorRole.Base))
            painter.drawEllipse(circle)
            if chosen:
                inset = 0.32 * side
                painter.setPen(QPen(palette.color(QPalette.ColorRole.HighlightedText), 0))
                painter.setBrush(palette.color(QPalette.ColorRole.HighlightedText))
                painter.drawEllipse(circle.adjusted(inset, inset, -inset, -inset))


class ProgressBar(QProgressBar):
    """Fusion's, with an edge."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """As the style does, then the edge."""
        super().paintEvent(event)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), ROUND, ROUND)


def _highlight(option: QStyleOption, darker: int = 100) -> None:
    """Have a button drawn in the highlight's colour, made darker where the style makes it lighter."""
    palette = QPalette(option.palette)
    palette.setColor(QPalette.ColorRole.Button, palette.color(QPalette.ColorRole.Highlight).darker(darker))
    palette.setColor(QPalette.ColorRole.ButtonText, palette.color(QPalette.ColorRole.HighlightedText))
    option.palette = palette


class ForwardButton(QPushButton):
    """The button to press next, while it can be pressed."""

    def initStyleOption(self, option: QStyleOptionButton) -> None:
        """In the highlight's colour."""
        super().initStyleOption(option)
        if self.isEnabled():
            _highlight(option, 130)


class StayingButton(QToolButton):
    """A button that stays down, and can be seen to."""

    def initStyleOption(self, option: QStyleOptionToolButton) -> None:
        """In the highlight's colour while it is down."""
        super().initStyleOption(option)
        if self.isChecked() and self.isEnabled():
            _highlight(option)


class DashedLabel(QLabel):
    """A label in a dashed frame, which `mark` brings out."""

    marked = False

    def mark(self, marked: bool) -> None:
        """Draw the frame in the highlight's colour, or plainly."""
        self.marked = marked
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The text, then the frame."""
        super().paintEvent(event)
        role = QPalette.ColorRole.Highlight if self.marked else QPalette.ColorRole.Mid
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(role), 2, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4 * ROUND, 4 * ROUND)


class PlainToolBar(QToolBar):
    """A tool bar with one thin line below it."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Only the line."""
        with QPainter(self) as painter:
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
            painter.drawLine(self.rect().bottomLeft(), self.rect().bottomRight())
