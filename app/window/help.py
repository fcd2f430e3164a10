"""Help: every keyboard shortcut of the window, read from its actions, and what this program is."""

from __future__ import annotations

import platform
from importlib import metadata

from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QMainWindow,
    QMenu,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
)

from app.window.icons import icon

MOUSE = (  # what no action tells
    ("Turn the view", "Drag with the left button"),
    ("Move the view", "Drag with the middle button, or Shift and drag"),
    ("Nearer, farther", "Wheel"),
    ("Fly", "W A S D, with Q and E down and up"),
    ("Look through a photo", "Click its camera, or double-click it in Capture"),
    ("Previous photo, next photo, free camera", "[ and ], Esc"),
    ("Front, back, right, left, top, bottom", "1 2 3 4 7 8"),
    ("Whole object, turntable", "F, T"),
)


def _plain(text: str) -> str:
    return text.replace("&", "").rstrip("\u2026")


def listed_shortcuts(window: QMainWindow) -> dict[str, list[tuple[str, str]]]:
    """(what it does, keys) by menu, then what panels add."""
    found: dict[str, list[tuple[str, str]]] = {}
    seen: set[QAction] = set()

    def look(menu: QMenu, title: str) -> None:
        for action in menu.actions():
            seen.add(action)
            inner = action.menu()
            if inner is not None and inner.objectName() != "recent_menu":
                look(inner, title)
            elif not action.shortcut().isEmpty():
                keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                found.setdefault(title, []).append((_plain(action.property("listed_as") or action.text()), keys))

    for action in window.menuBar().actions():
        if action.menu() is not None:
            look(action.menu(), _plain(action.text()))
    others = []
    for action in window.findChildren(QAction):
        if action not in seen and not action.shortcut().isEmpty() and action.text():
            others.append((_plain(action.text()), action.shortcut().toString()))
    for shortcut in window.findChildren(QShortcut):
        if shortcut.whatsThis() and not shortcut.key().isEmpty():
            others.append((shortcut.whatsThis(), shortcut.key().toString()))
    if others:
        found["Panels"] = sorted(set(others))
    found["View, with mouse and keys"] = list(MOUSE)
    return found


class ShortcutsDialog(QDialog):
    """A table of every shortcut."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setObjectName("shortcuts_dialog")
        self.setWindowTitle("Keyboard shortcuts")
        self.table = QTreeWidget()
        self.table.setObjectName("shortcuts_table")
        self.table.setToolTip("Every shortcut of this window")
        self.table.setHeaderLabels(["What it does", "Keys"])
        self.table.setRootIsDecorated(False)
        self.table.setIndentation(14)
        for title, rows in listed_shortcuts(window).items():
            group = QTreeWidgetItem([title])
            font = group.font(0)
            font.setBold(True)
            group.setFont(0, font)
            self.table.addTopLevelItem(group)
            for row in rows:
                group.addChild(QTreeWidgetItem(list(row)))
            group.setExpanded(True)
        self.table.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        buttons = QDialogButtonBox()
        buttons.addButton("Close", QDialogButtonBox.ButtonRole.RejectRole)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        layout.addWidget(buttons)
        self.resize(620, 560)


class AboutDialog(QDialog):
    """Name, version and what it runs on."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setObjectName("about_dialog")
        self.setWindowTitle("About Unrender")
        picture = QLabel()
        picture.setPixmap(icon("app").pixmap(64, 64))
        picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words = QLabel(about_text())
        self.words.setObjectName("about_text")
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        buttons = QDialogButtonBox()
        buttons.addButton("Close", QDialogButtonBox.ButtonRole.RejectRole)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addWidget(picture)
        layout.addWidget(self.words)
        layout.addWidget(buttons)


def about_text() -> str:
    """A few lines to read and to copy."""
    try:
        version = metadata.version("unrender")
    except metadata.PackageNotFoundError:
        version = "from source"
    below = f"Python {platform.python_version()}, Qt {qVersion()}, {platform.platform(terse=True)}"
    return (
        f"<b>Unrender {version}</b><br>Turns photographs back into the scene that made them.<br>"
        f"Apache License 2.0<br><br>{below}"
    )
