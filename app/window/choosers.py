"""Asking for a file or folder without holding the event loop; tests answer in the dialogs' place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

MESHES = "Meshes (*.glb *.gltf *.obj *.ply)"
SPLATS = "Gaussian splats (*.ply *.spz)"
VIDEOS = (
    "Videos and captures (*.mp4 *.mov *.m4v *.avi *.mkv *.webm *.mpg *.mpeg *.mts *.3gp transforms*.json project.toml)"
)
LIGHTS = "Radiance HDR (*.hdr)"


@dataclass(frozen=True)
class Question:
    """What is asked for."""

    title: str
    kind: Literal["folder", "new folder", "file", "save"] = "folder"
    filter: str = ""
    start: Path | None = None


Chooser = Callable[[QWidget, Question, Callable[[Path], None]], None]


def ask_path(parent: QWidget, question: Question, then: Callable[[Path], None]) -> None:
    """Show the system's dialog and return at once; `then` is called with the path unless it is cancelled."""
    start = str(question.start or Path.home())
    dialog = QFileDialog(parent, question.title, start, question.filter)
    dialog.setObjectName("chooser")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    mode = QFileDialog.FileMode
    if question.kind in ("folder", "new folder"):
        dialog.setFileMode(mode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly, question.kind == "new folder")
    else:
        dialog.setFileMode(mode.ExistingFile if question.kind == "file" else mode.AnyFile)
    if question.kind in ("new folder", "save"):
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.fileSelected.connect(lambda text: then(Path(text)) if text else None)
    dialog.open()
