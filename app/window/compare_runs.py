"""A second run beside the open one: its curves and recipe read from its project folder, the difference as a table."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.window.background import ProgressHandle
from app.window.curves import RunCurves, read_log
from app.window.loading import load_engine
from app.window.option_fields import text_of
from engine.errors import ProjectError, RecipeError
from engine.optimize.options import difference, set_option


@dataclass(frozen=True)
class OtherRun:
    """A run from its folder."""

    name: str
    curves: RunCurves
    recipe: Any  # as the run ended: with the changes made while it went on


def read_run(folder: Path, handle: ProgressHandle) -> OtherRun:
    """The run in a project folder, without locking it. Raises ProjectError for a folder that is none, or is empty."""
    load_engine()  # torch breaks when two threads import it at once
    from engine.optimize.project import LOG, Project
    from engine.optimize.recipe import Recipe

    handle.report(-1.0, folder.name)
    project = Project.open(folder, Recipe, lock=False)
    curves = read_log(folder / LOG, lambda: handle.report(-1.0, folder.name))
    if not curves.curves:
        raise ProjectError(f"{folder}: this run has not taken a step yet, so there is nothing to compare with")
    recipe = copy.deepcopy(project.recipe)
    for entry in project.history:
        if entry.kind in ("set", "override"):
            try:
                set_option(recipe, entry.key, entry.value)
            except RecipeError:  # an option that this version no longer has
                continue
    return OtherRun(folder.name, curves, recipe)


class RecipeDifference(QWidget):
    """The options in which two recipes differ, as a table, with a button that ends the comparison."""

    ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("recipe_difference")
        self.title = QLabel()
        self.title.setObjectName("difference_title")
        self.title.setWordWrap(True)
        self.note = QLabel("Dashed curves belong to the other run.")
        self.note.setWordWrap(True)
        self.note.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.end = QToolButton()
        self.end.setObjectName("end_comparison")
        self.end.setText("End")
        self.end.setToolTip("Stop comparing and remove the dashed curves")
        self.end.clicked.connect(self.ended)
        self.table = QTableWidget(0, 3)
        self.table.setObjectName("difference_table")
        self.table.setAccessibleName("Options that differ")
        self.table.setToolTip("Options in which the two runs differ, as they stand at the end of each run")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            self.table.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            self.table.setColumnWidth(column, 76)
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        top.addWidget(self.end)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.note)

    def show_difference(self, recipe: Any, other: OtherRun) -> None:
        """Fill the table."""
        rows = [row for row in difference(recipe, other.recipe) if row[0] != "schema_version"]
        count = "1 option differs" if len(rows) == 1 else f"{len(rows)} options differ"
        self.title.setText(f"{count} from {other.name}" if rows else f"Same recipe as {other.name}")
        self.table.setHorizontalHeaderLabels(["Option", "This run", other.name])
        self.table.setRowCount(len(rows))
        for place, (key, here, there) in enumerate(rows):
            for column, text in enumerate((key, text_of(here) or "nothing", text_of(there) or "nothing")):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(place, column, item)
        self.table.resizeRowsToContents()
