"""The photos of a capture as a list of thumbnails with check boxes: model, sorting and drawing."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPalette, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QWidget

from app.decibels import decibels
from app.window.studio_edits import OLD_STEPS
from app.window.thumbnails import SIDE, Thumbnails

if TYPE_CHECKING:
    from app.window.studio import Studio

Index = QModelIndex | QPersistentModelIndex

FRAME = Qt.ItemDataRole.UserRole
SPLIT, PSNR, EXCLUDED, SORT, BROKEN, AGE = (FRAME + number for number in range(1, 7))
PICTURE = 96  # pixels, side of the square that holds a thumbnail
CELL = QSize(112, 146)
ORDERS = {"name": "Name", "error": "Error, worst first", "split": "Split"}


class PhotoModel(QAbstractListModel):
    """One row per photo, in the capture's order."""

    def __init__(self, studio: Studio, thumbnails: Thumbnails, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.studio, self.thumbnails = studio, thumbnails
        self.image_size = -1  # as a loss of this size sees them; -1: the photos themselves
        self.order = "name"
        self._frames: list[Any] = []
        self._train: frozenset[int] = frozenset()
        studio.capture_changed.connect(self.reset)
        studio.scores_changed.connect(lambda _: self.refresh())
        studio.excluded_changed.connect(lambda _: self.refresh())
        thumbnails.made.connect(self._made)
        self.reset(studio.capture)

    def reset(self, capture: Any) -> None:
        """Show the photos of another capture."""
        self.beginResetModel()
        self.thumbnails.set_capture(capture)
        self._frames = capture.frames if capture is not None else []
        self._train = frozenset(capture.train) if capture is not None else frozenset()
        self.endResetModel()

    def refresh(self) -> None:
        """All rows may look different."""
        if self._frames:
            self.dataChanged.emit(self.index(0), self.index(len(self._frames) - 1))

    def _made(self, frame: int) -> None:
        self.dataChanged.emit(self.index(frame), self.index(frame), [Qt.ItemDataRole.DecorationRole])

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """How many photos there are."""
        return 0 if parent.isValid() else len(self._frames)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Training photos can be checked."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.row() in self._train else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a row shows, by role."""
        if not index.isValid() or index.row() >= len(self._frames):
            return None
        row = index.row()
        frame, psnr, excluded = self._frames[row], self.studio.scores.get(row), row in self.studio.excluded
        if role == Qt.ItemDataRole.DisplayRole:
            return frame.name
        if role == Qt.ItemDataRole.DecorationRole:
            return self.thumbnails.picture(row, self.image_size)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(frame, psnr, excluded, self.studio.score_age(row))
        if role == Qt.ItemDataRole.CheckStateRole and row in self._train:
            return Qt.CheckState.Unchecked if excluded else Qt.CheckState.Checked
        if role == SORT:
            return self._place(row, frame.split, psnr)
        if role == BROKEN:
            return (row, self.image_size) in self.thumbnails.broken
        if role == AGE:
            return self.studio.score_age(row)
        return {FRAME: row, SPLIT: frame.split, PSNR: psnr, EXCLUDED: excluded}.get(role)

    def _place(self, row: int, split: str, psnr: float | None) -> float:
        """What is sorted by; photos that are equal in it keep the capture's order."""
        if self.order == "error":
            return (1000.0 if psnr is None else psnr if isfinite(psnr) else -1000.0) + 1e-9 * row
        return float(row) + (1e9 if self.order == "split" and split == "test" else 0.0)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Checking takes a photo in, unchecking leaves it out."""
        if role != Qt.ItemDataRole.CheckStateRole or index.row() not in self._train:
            return False
        self.studio.exclude(index.row(), Qt.CheckState(value) == Qt.CheckState.Unchecked)
        return True

    def _tip(self, frame: Any, psnr: float | None, excluded: bool, age: int) -> str:
        use = "held back for testing" if frame.split == "test" else "left out" if excluded else "used for training"
        score = "" if psnr is None else f"\nThe render matches it to {decibels(psnr)} (PSNR; more is better)."
        if psnr is not None and age > OLD_STEPS:
            score += f"\nThat was measured {age} steps ago; all photos are measured in turn."
        mask = "its own transparency" if self.studio.capture.uses_alpha else "none"
        if frame.mask_path is not None:
            mask = frame.mask_path.name
        elif self.studio.capture.has_masks and not self.studio.capture.uses_alpha:
            mask = "from the background's colour or the region"
        return f"{frame.name}: {use}.{score}\nMask: {mask}.\nClick to look through its camera."


class PhotoDelegate(QStyledItemDelegate):
    """Draws thumbnail, check box, name, split and PSNR; the check box takes clicks and the space bar."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.toggled = False  # the click under way hit the check box

    def sizeHint(self, option: Any, index: Index) -> QSize:
        """All cells have one size."""
        return CELL

    @staticmethod
    def check_box(cell: QRect) -> QRect:
        """Where a cell's check box is."""
        return QRect(cell.left() + 10, cell.top() + 8, 18, 18)

    def paint(self, painter: QPainter, option: Any, index: Index) -> None:
        """One cell."""
        painter.save()
        palette, cell = option.palette, option.rect
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            color = palette.color(QPalette.ColorRole.Highlight)
            color.setAlpha(90 if selected else 40)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.drawRoundedRect(cell.adjusted(2, 2, -2, -2), 5, 5)
        excluded = bool(index.data(EXCLUDED))
        painter.setOpacity(0.35 if excluded else 1.0)
        square = QRect(cell.left() + (cell.width() - PICTURE) // 2, cell.top() + 6, PICTURE, PICTURE)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        self._picture(painter, palette, square, picture, bool(index.data(BROKEN)))
        painter.setOpacity(1.0)
        if index.data(Qt.ItemDataRole.CheckStateRole) is not None:
            self._check(painter, palette, cell, not excluded)
        line = option.fontMetrics.height()
        name = QRect(cell.left() + 4, square.bottom() + 4, cell.width() - 8, line)
        painter.setPen(palette.color(QPalette.ColorRole.Text))
        text = option.fontMetrics.elidedText(str(index.data()), Qt.TextElideMode.ElideMiddle, name.width())
        painter.drawText(name, Qt.AlignmentFlag.AlignCenter, text)
        muted = palette.color(QPalette.ColorRole.Text)
        muted.setAlpha(160)
        painter.setPen(muted)
        psnr = index.data(PSNR)
        words = "left out" if excluded else str(index.data(SPLIT))
        if psnr is not None:
            old = index.data(AGE) > OLD_STEPS
            words += f"  {'~' if old else ''}{decibels(psnr)}"
            muted.setAlpha(100 if old else 160)
            painter.setPen(muted)
        painter.drawText(name.translated(0, line), Qt.AlignmentFlag.AlignCenter, words)
        painter.restore()

    def _picture(self, painter: QPainter, palette: QPalette, square: QRect, picture: Any, broken: bool) -> None:
        if picture is None:
            if broken:
                painter.setPen(palette.color(QPalette.ColorRole.Text))
                flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
                painter.drawText(square.adjusted(6, 6, -6, -6), flags, "cannot be read")
            painter.setPen(QPen(palette.color(QPalette.ColorRole.Mid), 1, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(square.adjusted(0, 0, -1, -1))
            return
        size = picture.size().scaled(square.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(QPoint(0, 0), size)
        place.moveCenter(square.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(place, palette.color(QPalette.ColorRole.Base))
        painter.drawPixmap(place, picture)

    def _check(self, painter: QPainter, palette: QPalette, cell: QRect, checked: bool) -> None:
        box, ink = QRectF(self.check_box(cell)).adjusted(1.5, 1.5, -1.5, -1.5), palette.color(QPalette.ColorRole.Text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(palette.color(QPalette.ColorRole.Base))
        edge = QColor(ink)
        edge.setAlpha(130)
        painter.setPen(QPen(edge, 1))
        painter.drawRoundedRect(box, 3, 3)
        if checked:
            painter.setPen(QPen(ink, 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            corners = ((0.24, 0.52), (0.43, 0.72), (0.78, 0.28))
            painter.drawPolyline([QPointF(box.x() + x * box.width(), box.y() + y * box.height()) for x, y in corners])

    def editorEvent(self, event: QEvent, model: Any, option: Any, index: Index) -> bool:
        """Turns the check box on a click into it, or on the space bar."""
        if index.data(Qt.ItemDataRole.CheckStateRole) is None:
            return False
        kinds = (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick)
        if event.type() in kinds:
            if not self.check_box(option.rect).adjusted(-3, -3, 3, 3).contains(event.position().toPoint()):
                return False
            self.toggled = True
            if event.type() != QEvent.Type.MouseButtonRelease:
                return True
        elif not (event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Space):
            return False
        state = Qt.CheckState.Checked if index.data(EXCLUDED) else Qt.CheckState.Unchecked
        return model.setData(index, state, Qt.ItemDataRole.CheckStateRole)


class PhotoList(QListView):
    """Thumbnails side by side, wrapped to the width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("photo_list")
        self.setToolTip("Click a photo to look through its camera; uncheck it to leave it out of the run")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setGridSize(CELL)
        self.setSpacing(0)
        self.setMouseTracking(True)
        self.setWordWrap(False)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return looks through the current photo, as a click does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.clicked.emit(self.currentIndex())
            return
        super().keyPressEvent(event)
