"""Labels whose text wraps and that are exactly as high as their text, whatever layout they stand in."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget


class WrappedLabel(QLabel):
    """A paragraph; layouts ask labels for one size before they know the width, which leaves holes."""

    def __init__(self, text: str = "", parent: QWidget | None = None, muted: bool = False) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if muted:
            self.setForegroundRole(QPalette.ColorRole.PlaceholderText)

    def hasHeightForWidth(self) -> bool:
        """The height is fixed instead."""
        return False

    def sizeHint(self) -> QSize:
        """As high as the text is at this width."""
        return QSize(160, self._height())

    def minimumSizeHint(self) -> QSize:
        """May become narrow."""
        return QSize(80, self._height())

    def setText(self, text: str) -> None:
        """Another text, another height."""
        super().setText(text)
        self.updateGeometry()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, another height."""
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self.updateGeometry()

    def _height(self) -> int:
        return super().heightForWidth(max(80, self.width()))
