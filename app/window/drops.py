"""Folders and files dropped on a window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Signal
from PySide6.QtWidgets import QWidget


def dropped_path(data: QMimeData) -> Path | None:
    """The first local file or folder in what is dragged."""
    for url in data.urls():
        if url.isLocalFile():
            return Path(url.toLocalFile())
    return None


class Drops(QObject):
    """Makes a widget, and all in it that takes no drops itself, take files and folders."""

    hovering = Signal(bool)  # something that can be dropped is over the widget

    def __init__(self, widget: QWidget, take: Callable[[Path], None]) -> None:
        super().__init__(widget)
        self.take = take
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt's hook."""
        kind = event.type()
        if kind in (QEvent.Type.DragEnter, QEvent.Type.DragMove):
            if dropped_path(event.mimeData()) is None:
                return False
            event.acceptProposedAction()
            self.hovering.emit(True)
            return True
        if kind == QEvent.Type.DragLeave:
            self.hovering.emit(False)
        elif kind == QEvent.Type.Drop:
            self.hovering.emit(False)
            path = dropped_path(event.mimeData())
            if path is not None:
                event.acceptProposedAction()
                self.take(path)
                return True
        return False
