"""The panels around the viewport: which there are, where they stand, and their making one by one after the start."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDockWidget, QMainWindow, QSplitter, QTabBar, QVBoxLayout, QWidget

from app.window.background import described

if TYPE_CHECKING:
    from app.window.studio import Studio

Area = Qt.DockWidgetArea
LEAST = QSize(366, 150)  # pixels that a panel may insist on


@dataclass(frozen=True)
class Place:
    """One dock: its panels (module:class, below one another), side, key, and size it would like."""

    title: str
    name: str
    panels: tuple[str, ...]
    area: Qt.DockWidgetArea
    keys: str
    size: tuple[int, int]
    tip: str
    shares: tuple[int, ...] = (1,)  # of the height, one per panel


PLACES = (
    Place(
        "Capture",
        "capture",
        ("app.window.capture_panel:CapturePanel",),
        Area.LeftDockWidgetArea,
        "Ctrl+1",
        (290, 500),
        "The photos and what the doctor says of them",
    ),
    Place(
        "Recipe",
        "recipe",
        ("app.window.recipe_panel:RecipePanel",),
        Area.RightDockWidgetArea,
        "Ctrl+2",
        (330, 500),
        "Stages and every option of the run",
    ),
    Place(
        "Light and material",
        "light",
        ("app.window.light_panel:LightPanel", "app.window.material_panel:MaterialPanel"),
        Area.RightDockWidgetArea,
        "Ctrl+3",
        (330, 500),
        "The light that was found, other lights to look in, and the textures",
        (45, 55),
    ),
    Place(
        "Plots",
        "plots",
        ("app.window.plots_panel:PlotsPanel",),
        Area.BottomDockWidgetArea,
        "Ctrl+4",
        (900, 230),
        "Losses, quality and times over the steps",
    ),
    Place(
        "Console",
        "console",
        ("app.window.console_panel:ConsolePanel",),
        Area.BottomDockWidgetArea,
        "Ctrl+5",
        (900, 230),
        "Python, with the run and the window at hand",
    ),
    Place(
        "Script",
        "script",
        ("app.window.script_editor:ScriptEditor",),
        Area.BottomDockWidgetArea,
        "Ctrl+6",
        (900, 230),
        "Write and run scripts",
    ),
    Place(
        "Log",
        "log",
        ("app.window.log_panel:LogPanel",),
        Area.BottomDockWidgetArea,
        "Ctrl+7",
        (900, 230),
        "Everything that was said",
    ),
    Place(
        "Gradient lens",
        "lens",
        ("app.window.lens_panel:LensPanel",),
        Area.BottomDockWidgetArea,
        "Ctrl+8",
        (900, 230),
        "Which pixels move a vertex, a texel or the light, by three independent engines",
    ),
)


TABS = (("recipe", "light"), ("plots", "console"), ("console", "script"), ("script", "log"), ("log", "lens"))


def is_there(panel: str) -> bool:
    """Whether a panel's module exists; nothing is imported but its package."""
    return importlib.util.find_spec(panel.split(":")[0]) is not None


def panel_class(panel: str) -> type[QWidget]:
    """The class named `module:class`, imported."""
    module, name = panel.split(":")
    return getattr(importlib.import_module(module), name)


def left_behind(bars: list[QTabBar]) -> list[QTabBar]:
    """Those that name a part of what another one names: Qt leaves them on the screen when docks join one by one."""
    named = {bar: {bar.tabText(index) for index in range(bar.count())} for bar in bars if not bar.isHidden()}
    return [bar for bar in named if any(named[bar] < named[other] for other in named)]


class Holder(QWidget):
    """What stands in a dock: a size to ask for, and panels that may be made smaller than they would like."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = QSize(*size)
        self.box = QVBoxLayout(self)
        self.box.setSizeConstraint(QVBoxLayout.SizeConstraint.SetNoConstraint)
        self.box.setContentsMargins(0, 0, 0, 0)

    def sizeHint(self) -> QSize:
        """The size of the default layout."""
        return self._size

    def minimumSizeHint(self) -> QSize:
        """What panels need at least, but never so much that the window cannot be made small."""
        return self.box.minimumSize().boundedTo(LEAST)


class Docks(QObject):
    """Makes the docks at once and fills them later: modules are imported on a worker, widgets made one per turn."""

    filled = Signal()

    def __init__(self, window: QMainWindow, studio: Studio) -> None:
        super().__init__(window)
        self.window, self.studio = window, studio
        self.docks: dict[str, QDockWidget] = {}
        self.panels: dict[str, list[QWidget]] = {}
        self.is_filled = False
        self._bars: list[QTabBar] = []  # the tabs that Qt makes between docks
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._titles)
        for place in PLACES:
            if any(is_there(panel) for panel in place.panels):
                self._make(place)
        self._tabify(TABS)

    def _tabify(self, pairs: tuple[tuple[str, str], ...]) -> None:
        for first, second in pairs:
            if first in self.docks and second in self.docks:
                self.window.tabifyDockWidget(self.docks[first], self.docks[second])
        for name in ("recipe", "plots"):
            if name in self.docks:
                self.docks[name].raise_()

    def place(self, beside: str = "") -> None:
        """Put every dock where it belongs; with `beside`, the photos become a tab beside that dock."""
        for place in PLACES:
            dock = self.docks.get(place.name)
            if dock is not None:
                dock.setFloating(False)
                self.window.addDockWidget(place.area, dock)
                dock.show()
        self._tabify((*TABS, (beside, "capture")) if beside else TABS)

    def _make(self, place: Place) -> None:
        dock = QDockWidget(place.title, self.window)
        dock.setObjectName(f"dock_{place.name}")
        dock.setToolTip(place.tip)
        dock.setWidget(Holder(place.size))
        for signal in (dock.topLevelChanged, dock.dockLocationChanged, dock.visibilityChanged):
            signal.connect(lambda *_: self._later.start())  # all at once, when the docks have found their places
        action = dock.toggleViewAction()
        action.setObjectName(f"show_{place.name}")
        action.setShortcut(QKeySequence(place.keys))
        action.setToolTip(place.tip)
        action.setStatusTip(place.tip)
        self.window.addDockWidget(place.area, dock)
        self.docks[place.name] = dock
        self.panels[place.name] = []

    def _titles(self) -> None:
        """Leave the title bar out where a tab names the panel already."""
        for dock in self.docks.values():
            tabbed = not dock.isFloating() and any(not d.isHidden() for d in self.window.tabifiedDockWidgets(dock))
            old = dock.titleBarWidget()
            if tabbed == (old is None):
                dock.setTitleBarWidget(QWidget() if tabbed else None)
                if old is not None:
                    old.deleteLater()
        bars = self.window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
        for bar in left_behind(bars):
            bar.hide()
        for bar in bars:
            if bar not in self._bars:
                self._bars.append(bar)
                bar.setAccessibleName("Panels")
                bar.setToolTip("Double click to take a panel out; double click its title to put it back")
                bar.tabBarDoubleClicked.connect(lambda index, bar=bar: self._take_out(bar.tabText(index)))

    def _take_out(self, title: str) -> None:
        """Have a tab stand as a window of its own."""
        for dock in self.docks.values():
            if dock.windowTitle() == title:
                dock.setFloating(True)

    def fill(self) -> None:
        """Import the panels' modules elsewhere, then make them, one per turn of the event loop."""
        listed = [(place, panel) for place in PLACES if place.name in self.docks for panel in place.panels]
        self._import_next([(place, panel) for place, panel in listed if is_there(panel)])

    def _import_next(self, waiting: list[tuple[Place, str]]) -> None:
        if not waiting:
            self.is_filled = True
            self.filled.emit()
            return
        (place, panel), rest = waiting[0], waiting[1:]

        def made(kind: type[QWidget]) -> None:
            self._insert(place, lambda: kind(self.studio))
            self._import_next(rest)

        def failed(error: BaseException) -> None:
            self._say(place, error)
            self._import_next(rest)

        self.studio.background("", lambda handle: panel_class(panel), made, failed)

    def _insert(self, place: Place, make: Callable[[], QWidget]) -> None:
        try:
            widget = make()
        except Exception as error:  # one panel that fails must not take the window with it
            self._say(place, error)
            return
        holder = self.docks[place.name].widget()
        self.panels[place.name].append(widget)
        if len(place.panels) == 1:
            holder.box.addWidget(widget)
            return
        splitter = holder.findChild(QSplitter, "halves")
        if splitter is None:
            splitter = QSplitter(Qt.Orientation.Vertical)
            splitter.setObjectName("halves")
            splitter.setChildrenCollapsible(False)
            holder.box.addWidget(splitter)
        splitter.addWidget(widget)
        splitter.setSizes([1000 * share for share in place.shares[: splitter.count()]])
        for number, share in enumerate(place.shares[: splitter.count()]):
            splitter.setStretchFactor(number, share)

    def _say(self, place: Place, error: BaseException) -> None:
        sentence, details = described(error)
        self.studio.failed.emit(f"The panel {place.title} cannot be shown: {sentence}", details)

    def panel(self, name: str) -> QWidget | None:
        """The first panel in a dock; None where it is not there (yet)."""
        return next(iter(self.panels.get(name, [])), None)
