"""The legend of the plots: every curve by group, with its colour, a check box and its newest value."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPalette, QPixmap
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from app.window.curves import GROUPS, LOSS, OTHER, PSNR, SIZE, SPLATS, UNITS, Key
from app.window.painted import CheckDelegate

COLORS = (  # told apart on light and on dark ground
    "#3d85f0",
    "#e8710a",
    "#2ca25f",
    "#d6403a",
    "#9a6ad6",
    "#17a5b5",
    "#d14f9d",
    "#a3812b",
    "#7a8794",
    "#7ba428",
)
MEANINGS = {
    LOSS: "What the run makes small: the total, and the weighted terms it is made of",
    PSNR: "How well renders match photos, in decibels: higher is better, 30 is close",
    "Learning rate": "How far one step moves each group of parameters",
    "Time per step": "Where the time of a step goes, in milliseconds",
    "Mesh": "Faces, connected components, and edges where more than two faces meet",
    SPLATS: "How many splats there are, and how many there may be",
    SIZE: "What the splats' parameters take, in millions of bytes",
    OTHER: "What else the stage counts",
    "Iso-surface": "Weighted regularizers of the iso-surface, in the stage shape",
}


def number_text(value: float) -> str:
    """A number short enough for a legend."""
    if not math.isfinite(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"


class CurveTree(QTreeWidget):
    """Check boxes by group; `chosen_changed` when what is ticked changes."""

    chosen_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("curve_tree")
        self.setToolTip("Tick the curves to draw")
        self.setAccessibleName("Curves to draw")
        self.setMinimumWidth(200)
        self.viewport().setBackgroundRole(QPalette.ColorRole.Window)  # on Base, empty boxes cannot be seen
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(True)
        self.setUniformRowHeights(True)
        self.setItemDelegate(CheckDelegate(self))
        self.setIndentation(14)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.header().setMinimumSectionSize(20)
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)  # names are cut, numbers never
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self._groups: dict[str, QTreeWidgetItem] = {}
        self._items: dict[Key, QTreeWidgetItem] = {}
        self._colors: dict[Key, QColor] = {}
        self.itemChanged.connect(self._changed)

    def chosen(self) -> list[Key]:
        """The ticked curves."""
        return [key for key, item in self._items.items() if item.checkState(0) == Qt.CheckState.Checked]

    def color(self, key: Key) -> QColor:
        """A curve's colour, the same for as long as the window lives."""
        if key not in self._colors:
            used = sum(other[0] == key[0] for other in self._colors)
            self._colors[key] = QColor(COLORS[used % len(COLORS)])
        return self._colors[key]

    def item(self, key: Key) -> QTreeWidgetItem:
        """The row of a curve."""
        return self._items[key]

    def tick(self, key: Key, ticked: bool = True) -> None:
        """Draw a curve, or no longer."""
        self._items[key].setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)

    def show_keys(self, keys: list[Key]) -> None:
        """Add rows for new curves; those that are gone for now keep theirs."""
        new = [key for key in keys if key not in self._items]
        if not new:
            return
        with QSignalBlocker(self):
            for key in new:
                self._add(key)
        self.chosen_changed.emit()

    def show_values(self, values: dict[Key, float]) -> None:
        """Write the numbers beside the names."""
        with QSignalBlocker(self):
            for key, item in self._items.items():
                text = number_text(values.get(key, math.nan))
                if item.text(1) != text:
                    item.setText(1, text)

    def forget(self) -> None:
        """Remove every row; colours stay."""
        with QSignalBlocker(self):
            self.clear()
            self._groups.clear()
            self._items.clear()

    def _group(self, name: str) -> QTreeWidgetItem:
        if name not in self._groups:
            item = QTreeWidgetItem([name, UNITS[name]])
            item.setToolTip(0, MEANINGS[name])
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsAutoTristate)
            place = sum(GROUPS.index(other) < GROUPS.index(name) for other in self._groups)
            self.insertTopLevelItem(place, item)
            item.setExpanded(name in (LOSS, PSNR, SPLATS))
            self._groups[name] = item
        return self._groups[name]

    def _add(self, key: Key) -> None:
        group, name = key
        item = QTreeWidgetItem([name, ""])
        swatch = QPixmap(12, 12)
        swatch.fill(self.color(key))
        item.setIcon(0, QIcon(swatch))
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        drawn = group in (PSNR, SPLATS) or key == (LOSS, "total")
        item.setCheckState(0, Qt.CheckState.Checked if drawn else Qt.CheckState.Unchecked)
        self._group(group).addChild(item)
        self._items[key] = item

    def _changed(self, item: QTreeWidgetItem, column: int) -> None:
        if column == 0:
            self.chosen_changed.emit()
