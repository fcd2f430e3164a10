"""What is asked before the window closes on a run that is not finished or not saved."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QMessageBox, QWidget

HALF_A_STEP = "An error left a step half done, which cannot be saved: the run can go on later from its last checkpoint."


def closing_question(parent: QWidget, at_its_end: bool, half_done: bool, end: Callable[[bool], None]) -> QMessageBox:
    """The question, not yet open; `end(save)` is called unless the window is to stay open."""
    what = "The end of the run is not saved." if at_its_end else "The run is not finished."
    box = QMessageBox(QMessageBox.Icon.Question, "Unrender", what, parent=parent)
    box.setObjectName("closing_question")
    leave = box.addButton("Close" if half_done else "Close without saving", QMessageBox.ButtonRole.DestructiveRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    leave.setObjectName("close_without_saving")
    cancel.setObjectName("keep_open")
    cancel.setIcon(QIcon())  # the style's is hard to see
    leave.setToolTip("What was computed since the last checkpoint is lost")
    if half_done:
        box.setInformativeText(HALF_A_STEP)
        box.setDefaultButton(cancel)
    else:
        box.setInformativeText("Saved, it can go on later from where it is now; otherwise from its last autosave.")
        save = box.addButton("Save and close", QMessageBox.ButtonRole.AcceptRole)
        save.setObjectName("save_and_close")
        save.clicked.connect(lambda: end(True))
        box.setDefaultButton(save)
    leave.clicked.connect(lambda: end(False))
    return box
