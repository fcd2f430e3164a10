"""After a crash: which projects were being run, and going on from their last autosave."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.window.recent import PROJECT, RecentProjects

if TYPE_CHECKING:
    from app.window.studio import Studio

LOCK = "project.lock"


@dataclass(frozen=True)
class Unfinished:
    """A project whose run ended without being stopped."""

    folder: Path
    saved: float | None  # seconds since 1970 of its newest checkpoint; None: it has none and starts over
    stage: str = ""
    step: int = 0

    def described(self, now: float) -> str:
        """Three lines for a person: name, when it was saved, where it is."""
        saved = "Nothing was saved yet: it starts over"
        if self.saved is not None:
            where = f", step {self.step}" + (f", stage {self.stage}" if self.stage else "")
            saved = f"Saved {ago(now - self.saved)}{where}"
        return f"{self.folder.name}\n{saved}\n{self.folder}"


def ago(seconds: float) -> str:
    """A time span in words."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return "less than a minute ago"


def unfinished(folders: list[Path]) -> list[Unfinished]:
    """Those of `folders` that nobody runs now, with what their newest checkpoint says; reads from the disk."""
    return [last_save(folder) for folder in folders if (folder / PROJECT).is_file() and not is_held(folder)]


def is_held(folder: Path) -> bool:
    """Whether a living process runs the project."""
    from engine.errors import ProjectError
    from engine.optimize.project_lock import ProjectLock

    if not (folder / LOCK).exists():
        return False
    try:
        ProjectLock(folder / LOCK).release()
    except ProjectError:
        return True
    return False


def last_save(folder: Path) -> Unfinished:
    """When and where a project was saved last, from the newest manifest that can be read."""
    for path in sorted((folder / "checkpoints").glob("checkpoint-*.json"), reverse=True):
        if not re.fullmatch(r"checkpoint-\d{6}\.json", path.name):
            continue
        try:
            values = json.loads(json.loads(path.read_text(encoding="utf-8"))["body"])["values"]
            stage = values.get("stage") or ""
            return Unfinished(folder, path.stat().st_mtime, str(stage), int(values.get("total_step", 0)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return Unfinished(folder, None)


class RecoverDialog(QDialog):
    """Lists unfinished projects; "Go on" opens the chosen one."""

    chosen = Signal(object)  # Path

    def __init__(self, found: list[Unfinished], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("recover_dialog")
        self.setWindowTitle("Go on where you were")
        one = len(found) == 1
        text = "A run ended without being stopped." if one else "Some runs ended without being stopped."
        words = QLabel(f"<b>{text}</b><br>You can go on from the last autosave; at most the last minute is lost.")
        words.setWordWrap(True)
        self.list = QListWidget()
        self.list.setObjectName("recover_list")
        self.list.setToolTip("Runs that can go on")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setSpacing(4)
        now = time.time()
        for entry in found:
            item = QListWidgetItem(entry.described(now))
            item.setToolTip(str(entry.folder))
            item.setData(Qt.ItemDataRole.UserRole, entry.folder)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.itemActivated.connect(lambda _: self.accept())
        buttons = QDialogButtonBox()
        self.go_on = buttons.addButton("Go on", QDialogButtonBox.ButtonRole.AcceptRole)
        self.go_on.setObjectName("recover_go_on")
        self.go_on.setToolTip("Open the project at its last autosave")
        self.later = buttons.addButton("Not now", QDialogButtonBox.ButtonRole.RejectRole)
        self.later.setObjectName("recover_later")
        self.later.setToolTip("The projects stay among the recent ones")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(words)
        layout.addWidget(self.list, 1)
        layout.addWidget(buttons)
        self.resize(520, 150 + 64 * min(len(found), 4))
        self.accepted.connect(self._tell)

    def _tell(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.chosen.emit(item.data(Qt.ItemDataRole.UserRole))


def offer_recovery(
    studio: Studio, recent: RecentProjects, window: QWidget, shown: Callable[[RecoverDialog], None] | None = None
) -> None:
    """Look in the background for runs that ended with the program's death, and offer to go on; asks once per death."""
    folders = [Path(entry.folder) for entry in recent.projects() if entry.running]

    def done(found: list[Unfinished]) -> None:
        if not found or studio.state != "empty":
            return
        for entry in found:
            recent.mark(entry.folder, False)
        dialog = RecoverDialog(found, window)
        dialog.chosen.connect(studio.open)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        if shown is not None:
            shown(dialog)

    if folders:
        studio.background("", lambda _: unfinished(folders), done, lambda error: None)
