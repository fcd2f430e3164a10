"""Recent projects as pictures to click; the pictures are read in the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QListView, QListWidget, QListWidgetItem, QMenu, QWidget

from app.window.recent import RecentProjects, thumbnail

if TYPE_CHECKING:
    from app.window.studio import Studio

PICTURE = QSize(148, 104)
CELL = QSize(168, 142)
FOLDER = Qt.ItemDataRole.UserRole


class RecentList(QListWidget):
    """Click one, or press Return on it, to open it."""

    chosen = Signal(object)  # Path

    def __init__(self, studio: Studio, recent: RecentProjects, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.studio, self.recent = studio, recent
        self.setObjectName("recent_projects")
        self.setAccessibleName("Recent projects")
        self.setToolTip("Projects opened last")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setIconSize(PICTURE)
        self.setGridSize(CELL)
        self.setUniformItemSizes(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.viewport().setAutoFillBackground(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.itemClicked.connect(lambda item: self.chosen.emit(item.data(FOLDER)))
        self.itemActivated.connect(lambda item: self.chosen.emit(item.data(FOLDER)))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # as high as its rows
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._stale = True
        recent.changed.connect(self._changed)

    def _changed(self) -> None:
        self._stale = True
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Lists what has changed while nobody looked."""
        super().showEvent(event)
        self.recent.look()
        if self._stale:
            self.refresh()

    def refresh(self) -> None:
        """List them again."""
        self._stale = False
        self.clear()
        for entry in self.recent.projects():
            folder = Path(entry.folder)
            item = QListWidgetItem(_icon(None), entry.name)
            item.setData(FOLDER, folder)
            item.setSizeHint(CELL)
            capture = f"\nPhotos: {entry.capture}" if entry.capture else ""
            item.setToolTip(f"{folder}{capture}")
            self.addItem(item)
            self._fetch(folder)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, another number of rows."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        columns = max(1, (self.viewport().width() - 2) // CELL.width())
        self.setFixedHeight(max(1, -(-self.count() // columns)) * CELL.height() + 4)

    def _fetch(self, folder: Path) -> None:
        def done(image: QImage | None) -> None:
            for row in range(self.count()):
                if self.item(row).data(FOLDER) == folder and image is not None:
                    self.item(row).setIcon(_icon(QPixmap.fromImage(image)))

        self.studio.background("", lambda _: thumbnail(folder, PICTURE), done, lambda error: None)

    def _menu(self, place: QPoint) -> None:
        item = self.itemAt(place)
        if item is None:
            return
        folder = item.data(FOLDER)
        menu = QMenu(self)
        menu.setObjectName("recent_project_menu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Open", lambda: self.chosen.emit(folder))
        menu.addAction("Take off this list", lambda: self.recent.forget(folder))
        menu.popup(self.viewport().mapToGlobal(place))


def _icon(pixmap: QPixmap | None) -> QIcon:
    """The picture of a project, or a plain card where there is none."""
    card = QPixmap(PICTURE)
    card.fill(QColor(128, 128, 128, 40))
    if pixmap is not None:
        painter = QPainter(card)
        painter.fillRect(card.rect(), QColor(255, 255, 255))
        place = QRect(QPoint(0, 0), pixmap.size())
        place.moveCenter(card.rect().center())
        painter.drawPixmap(place, pixmap)
        painter.end()
    return QIcon(card)
