"""Entries of menus and buttons, each with a name to find it by and a tip that says what it does."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QPushButton


def action(owner: QObject, name: str, text: str, tip: str, call: Callable[[], object], keys: str = "") -> QAction:
    """An entry for menus and tool bars."""
    made = QAction(text, owner)
    made.setObjectName(name)
    made.setToolTip(tip)
    made.setStatusTip(tip)
    if keys:
        made.setShortcut(QKeySequence(keys))
    made.triggered.connect(lambda _checked=False: call())
    return made


def button(name: str, text: str, tip: str, call: Callable[[], object]) -> QPushButton:
    """A button to press."""
    made = QPushButton(text)
    made.setObjectName(name)
    made.setToolTip(tip)
    made.clicked.connect(lambda _checked=False: call())
    return made
