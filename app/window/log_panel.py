"""Everything that was said: notices, warnings, errors and stages, to filter and to copy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QBrush, QGuiApplication, QKeySequence, QShortcut, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from app.window.option_names import in_words
from engine.optimize.messages import EvalReport, Failed, Notice, StageChanged

if TYPE_CHECKING:
    from app.window.studio import Studio

ROWS = 5000  # older ones are forgotten; the project's log.jsonl keeps them
LEVEL, DETAILS = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
RANK = {"info": 0, "warning": 1, "error": 2}
WORDS = {"info": "Note", "warning": "Warning", "error": "Error"}
COLORS = {"warning": "#c98a1b", "error": "#d9534f"}
SHOWN = (("Everything", 0), ("Warnings and errors", 1), ("Errors", 2))
VERBS = {"begin": "begins", "finish": "has taken its steps", "done": "is done"}


class _Filter(QSortFilterProxyModel):
    """Rows of at least a level that contain a text."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rank, self.text = 0, ""

    def set(self, rank: int, text: str) -> None:
        """Change what is let through."""
        self.rank, self.text = rank, text.lower()
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Whether a row is shown."""
        item = self.sourceModel().item(row, 2)
        return RANK[item.data(LEVEL)] >= self.rank and self.text in item.text().lower()


class LogPanel(QWidget):
    """One line per message, the newest below."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("log_panel")
        self.model = QStandardItemModel(0, 3, self)
        self.model.setHorizontalHeaderLabels(["Time", "Kind", "Message"])
        self.filter = _Filter(self)
        self.filter.setSourceModel(self.model)
        self.view = QTreeView()
        self.view.setObjectName("log_list")
        self.view.setAccessibleName("Messages")
        self.view.setToolTip("What was said, the newest below; Ctrl+C copies the selected lines with their details")
        self.view.setModel(self.filter)
        self.view.setRootIsDecorated(False)
        self.view.setUniformRowHeights(True)
        self.view.setAlternatingRowColors(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.view.header()
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        metrics = self.view.fontMetrics()
        self.view.setColumnWidth(0, metrics.horizontalAdvance("00:00:00") + 24)
        self.view.setColumnWidth(1, metrics.horizontalAdvance("Warning") + 28)
        self.search, self.level = QLineEdit(), QComboBox()
        self.copy, self.clear = QPushButton("Copy all"), QPushButton("Clear")
        self._lay_out()
        studio.message_received.connect(self._message)
        studio.failed.connect(lambda sentence, details: self.add("error", sentence, details))

    def _lay_out(self) -> None:
        for widget, name, title, tip in (
            (self.search, "log_search", "Search messages", "Show only messages that contain this"),
            (self.level, "log_level", "Messages shown", "How serious a message must be to be shown"),
            (self.copy, "log_copy", "Copy all", "Copy every line that is shown, with its details"),
            (self.clear, "log_clear", "Clear", "Empty the list; the project's log.jsonl keeps everything"),
        ):
            widget.setObjectName(name)
            widget.setAccessibleName(title)
            widget.setToolTip(tip)
        self.search.setPlaceholderText("Search messages")
        self.search.setClearButtonEnabled(True)
        for text, rank in SHOWN:
            self.level.addItem(text, rank)
        self.search.textChanged.connect(self._refilter)
        self.level.currentIndexChanged.connect(self._refilter)
        self.copy.clicked.connect(lambda: self._copy(all_rows=True))
        self.clear.clicked.connect(lambda: self.model.removeRows(0, self.model.rowCount()))
        shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.view)
        shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        shortcut.activated.connect(lambda: self._copy(all_rows=False))
        row = QHBoxLayout()
        row.addWidget(self.search, 1)
        row.addWidget(self.level)
        row.addWidget(self.copy)
        row.addWidget(self.clear)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)

    def add(self, level: str, text: str, details: str = "") -> None:
        """One more line; `level` is info, warning or error."""
        bar = self.view.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        shown = (time.strftime("%H:%M:%S"), WORDS[level], in_words(text))
        items = [QStandardItem(words) for words in shown]
        for item in items:
            item.setToolTip(text)
            if level in COLORS and item is not items[2]:
                item.setForeground(QBrush(COLORS[level]))
        items[2].setData(level, LEVEL)
        items[2].setData(details, DETAILS)
        self.model.appendRow(items)
        if self.model.rowCount() > ROWS:
            self.model.removeRows(0, ROWS // 10)
        if at_end:
            self.view.scrollToBottom()

    def lines(self) -> list[str]:
        """What is shown, as it is copied."""
        return [self._line(self.filter.index(row, 2)) for row in range(self.filter.rowCount())]

    def _line(self, index: QModelIndex) -> str:
        when, kind = index.siblingAtColumn(0).data(), index.siblingAtColumn(1).data()
        details = index.data(DETAILS)
        return f"{when}\t{kind}\t{index.data()}" + (f"\n{details}" if details else "")

    def _copy(self, all_rows: bool) -> None:
        rows = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        lines = self.lines() if all_rows else [self._line(self.filter.index(row, 2)) for row in rows]
        if lines:
            QGuiApplication.clipboard().setText("\n".join(lines))

    def _refilter(self) -> None:
        self.filter.set(self.level.currentData(), self.search.text())
        self.view.scrollToBottom()

    def _message(self, message: object) -> None:
        match message:
            case Notice():
                details = "\n".join(f"{key}: {value}" for key, value in message.details.items())
                self.add(message.level, message.text, details)
            case StageChanged():
                if message.state != "finish":
                    where = f" ({message.index + 1} of {message.count})"
                    self.add("info", f"Stage {message.stage}{where} {VERBS[message.state]}")
            case EvalReport():
                psnr = message.metrics.get("psnr")
                quality = f"{psnr:.2f} dB on the test photos" if psnr is not None else "no test photos to measure on"
                count, what = message.metrics.get("primitives"), "splats"
                if count is None:
                    count, what = message.metrics.get("faces", 0), "faces"
                self.add("info", f"Result measured: {quality}, {count:,} {what}")
            case Failed():
                self.add("error", message.text)
