"""In the status bar: what long action is under way, how far it is, and a button that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from app.window.icons import icon
from app.window.painted import ProgressBar

if TYPE_CHECKING:
    from app.window.studio import Studio


class BusyBar(QWidget):
    """Seen only while something goes on."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("busy")
        self.label, self.bar, self.cancel = QLabel(), ProgressBar(), QToolButton()
        self.label.setObjectName("busy_label")
        self.bar.setObjectName("busy_bar")
        self.bar.setFixedWidth(160)
        self.bar.setTextVisible(False)
        self.bar.setToolTip("How far it is")
        self.cancel.setObjectName("busy_cancel")
        self.cancel.setIcon(icon("cancel"))
        self.cancel.setAutoRaise(True)
        self.cancel.setToolTip("Cancel this")
        self.cancel.setAccessibleName("Cancel this")
        self.cancel.clicked.connect(studio.cancel_background)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.label, self.bar, self.cancel):
            row.addWidget(widget)
        studio.busy_changed.connect(self._show)
        self._show("", -1.0)

    def _show(self, label: str, done: float) -> None:
        self.setVisible(bool(label))
        self.label.setText(label)
        self.bar.setRange(0, 0 if done < 0 else 1000)
        self.bar.setValue(int(1000 * max(done, 0.0)))
