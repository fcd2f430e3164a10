"""Where one works: run controls on top, the viewport in the middle, panels around it in docks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QMainWindow, QTabWidget, QVBoxLayout, QWidget

from app.window.docks import Docks
from app.window.painted import PlainToolBar
from app.window.run_controls import RunControls

if TYPE_CHECKING:
    from app.window.studio import Studio

VERSION = 2  # of the layout that is remembered
PLOTS = 240  # pixels that the panels below ask for at least
WIDE = 1200  # pixels from which photos and recipe stand on both sides of the viewport


class Workspace(QMainWindow):
    """A page of the main window; its layout is remembered by `layout_state`."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Widget)
        self.setObjectName("workspace")
        self.viewport: QWidget | None = None
        self._wanted: QByteArray | None = None  # the layout to take when it is first shown
        self._shown = False
        self.setDockNestingEnabled(True)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self.middle = QWidget()
        self.middle.setObjectName("middle")
        self.middle.setMinimumSize(240, 160)
        column = QVBoxLayout(self.middle)
        column.setContentsMargins(0, 0, 0, 0)
        self.setCentralWidget(self.middle)
        self.controls = RunControls(studio)
        self.toolbar = PlainToolBar("Run")
        self.toolbar.setObjectName("toolbar_run")
        self.toolbar.setMovable(False)
        self.toolbar.toggleViewAction().setEnabled(False)
        self.toolbar.addWidget(self.controls)
        self.addToolBar(self.toolbar)
        self.docks = Docks(self, studio)

    def set_viewport(self, viewport: QWidget) -> None:
        """Put the viewport in the middle."""
        self.viewport = viewport
        self.middle.layout().addWidget(viewport)

    def layout_state(self) -> QByteArray | None:
        """What to remember; None where it has never been seen."""
        return self.saveState(VERSION) if self._shown else self._wanted

    def want_layout(self, state: QByteArray | None) -> None:
        """Take a remembered layout when it is first shown."""
        self._wanted = state

    def showEvent(self, event: QShowEvent) -> None:
        """Lay out at the size that there is."""
        super().showEvent(event)
        if not self._shown:
            self._shown = True
            self._corners()
            if self._wanted is None or not self.restoreState(self._wanted, VERSION):
                self.reset()
            elif self.width() < WIDE:  # it may be remembered from a wider window
                self._move_photos(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the bottom panels the whole width where there is little."""
        self._corners()
        super().resizeEvent(event)

    def _corners(self) -> None:
        side = Qt.DockWidgetArea
        wide = self.width() >= WIDE
        left, right = (side.LeftDockWidgetArea, side.RightDockWidgetArea) if wide else 2 * (side.BottomDockWidgetArea,)
        if self.corner(Qt.Corner.BottomLeftCorner) == left:
            return
        self.setCorner(Qt.Corner.BottomLeftCorner, left)
        self.setCorner(Qt.Corner.BottomRightCorner, right)
        if self._shown:
            self._move_photos(wide)

    def _move_photos(self, wide: bool) -> None:
        """Put the photos on their own side, or behind the recipe; where the user has moved them, they stay."""
        capture, recipe = (self.docks.docks.get(name) for name in ("capture", "recipe"))
        if capture is None or recipe is None or not capture.isVisibleTo(self) or capture.isFloating():
            return
        together = recipe in self.tabifiedDockWidgets(capture)
        if wide and together:
            self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, capture)
            QTimer.singleShot(0, self._default_sizes)
        elif not wide and self.dockWidgetArea(capture) == Qt.DockWidgetArea.LeftDockWidgetArea:
            light = self.docks.docks.get("light")
            front = recipe if light is None or light.visibleRegion().isEmpty() else light
            self.tabifyDockWidget(recipe, capture)
            front.raise_()

    def reset(self) -> None:
        """The layout of the first start: photos left, recipe and light right, plots and text below."""
        docks, wide = self.docks.docks, self.width() >= WIDE
        self.docks.place(beside="" if wide else "recipe")
        QTimer.singleShot(0, self._default_sizes)
        self._default_sizes()
        if "plots" in docks:
            docks["plots"].raise_()

    def _default_sizes(self) -> None:
        docks, width = self.docks.docks, self.width()
        wanted = {"capture": int(0.2 * width), "recipe": max(int(0.25 * width), 372)}
        names = [name for name in wanted if name in docks and (name == "recipe" or width >= WIDE)]
        self.resizeDocks([docks[n] for n in names], [wanted[n] for n in names], Qt.Orientation.Horizontal)
        if "plots" in docks:
            height = max(int(0.27 * self.height()), PLOTS)
            self.resizeDocks([docks["plots"]], [height], Qt.Orientation.Vertical)
