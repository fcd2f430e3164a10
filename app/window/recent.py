"""The projects opened last, kept in the settings, and the picture that each is known by."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QRect, QSettings, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageReader, qGray

MOST = 12
KEY = "recent/projects"
COMPARISON, PREVIEW, PROJECT = "comparison.png", "preview.png", "project.toml"
CAPTION = 22  # pixels of text above the columns of comparison.png
COLUMNS, SPLAT_COLUMNS = 6, 3  # as wide as each other: photo, render, difference, and the materials of a surface
INK, INDENT = 128, 20  # a grey that only text is darker than; pixels of a column within which its text begins


@dataclass(frozen=True)
class RecentProject:
    """One entry of the list."""

    folder: str
    capture: str = ""
    opened: float = 0.0  # seconds since 1970
    running: bool = False  # a run was going on when it was last heard of

    @property
    def name(self) -> str:
        """The folder's own name."""
        return Path(self.folder).name


class RecentProjects(QObject):
    """At most twelve, newest first; folders that are gone are left out without a word.

    `background` is a studio's: disks may be slow, or gone, so `look` looks from there; without it, at once.
    """

    changed = Signal()

    def __init__(
        self, settings: QSettings, parent: QObject | None = None, background: Callable[..., Any] | None = None
    ) -> None:
        super().__init__(parent)
        self.settings, self._background = settings, background
        self._missing: frozenset[str] = frozenset()
        self.look()

    def projects(self) -> list[RecentProject]:
        """Those whose folder still held a project when `look` looked last."""
        return [entry for entry in self._stored() if entry.folder not in self._missing]

    def look(self) -> None:
        """See which folders are still there; `changed` tells when that is news."""
        folders = [entry.folder for entry in self._stored()]
        if self._background is None:
            self._take(_missing(folders))
        elif folders:
            self._background("", lambda _: _missing(folders), self._take, lambda error: None)

    def _take(self, missing: frozenset[str]) -> None:
        if missing != self._missing:
            self._missing = missing
            self.changed.emit()

    def add(self, folder: Path, capture: str = "", running: bool | None = None) -> None:
        """Put a project at the head of the list; `running` None keeps what is known of it."""
        path = str(Path(folder).absolute())
        self._missing -= {path}
        known = next((entry for entry in self._stored() if entry.folder == path), RecentProject(path))
        entry = replace(known, opened=time.time(), capture=capture or known.capture)
        if running is not None:
            entry = replace(entry, running=running)
        self._store([entry, *(other for other in self.projects() if other.folder != path)])

    def mark(self, folder: Path, running: bool) -> None:
        """Note that a project's run goes on, or that it has ended or been put aside; unknown ones stay unknown."""
        path = str(Path(folder).absolute())
        entries = self._stored()
        marked = [replace(entry, running=running) if entry.folder == path else entry for entry in entries]
        if marked != entries:
            self._store(marked)

    def forget(self, folder: Path) -> None:
        """Take a project off the list; its folder stays."""
        path = str(Path(folder).absolute())
        self._store([entry for entry in self._stored() if entry.folder != path])

    def _stored(self) -> list[RecentProject]:
        try:
            rows = json.loads(str(self.settings.value(KEY, "[]")))
            return [RecentProject(**row) for row in rows][:MOST]
        except (ValueError, TypeError):  # written by another version, or by hand
            return []

    def _store(self, entries: list[RecentProject]) -> None:
        self.settings.setValue(KEY, json.dumps([asdict(entry) for entry in entries[:MOST]]))
        self.settings.sync()  # a crash must find it
        self.changed.emit()


def _missing(folders: list[str]) -> frozenset[str]:
    """Those that hold no project; reads from the disk."""
    return frozenset(folder for folder in folders if not (Path(folder) / PROJECT).is_file())


def thumbnail(folder: Path, size: QSize) -> QImage | None:
    """The picture of a project, filling `size`: the first render of its comparison, else its newest preview.

    Reads from the disk: not for the GUI thread. None where there is neither.
    """
    comparison, preview = Path(folder) / COMPARISON, Path(folder) / PREVIEW
    newest = comparison if comparison.is_file() else preview
    image = QImageReader(str(newest)).read()
    if newest == comparison and not image.isNull():
        width = image.width() // _columns(image)
        image = image.copy(QRect(width, CAPTION, width, min(width, image.height() - CAPTION)))
    if image.isNull():
        return None
    modes = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
    scaled = image.scaled(size, *modes)
    return scaled.copy(
        QRect((scaled.width() - size.width()) // 2, (scaled.height() - size.height()) // 2, *size.toTuple())
    )


def _columns(comparison: QImage) -> int:
    """How many columns it has: where materials are shown a caption begins in the middle, else a column's middle is."""
    middle = comparison.width() // 2
    captioned = any(
        qGray(comparison.pixel(x, y)) < INK
        for x in range(middle, min(middle + INDENT, comparison.width()))
        for y in range(min(CAPTION, comparison.height()))
    )
    return COLUMNS if captioned else SPLAT_COLUMNS
