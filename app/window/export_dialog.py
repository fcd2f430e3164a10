"""The export dialog: what the files will say about axes, units and colour, where they go, and the check of what was
written."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from app.window.choosers import Chooser, Question, ask_path
from app.window.export_place import SPLAT_TITLES, TITLES, refusal, replaced, resolved
from app.window.painted import CheckBox, ForwardButton, ProgressBar
from app.window.thumbnails import as_image
from app.window.waiting import result_of
from app.window.wrapped_label import WrappedLabel
from engine.errors import Cancelled
from engine.exchange.asset_files import AssetReport, AssetScene, asset_facts, estimated_sizes
from engine.scene.conventions import SPLAT_FILES_UP

if TYPE_CHECKING:
    from app.window.studio import Studio
    from engine.capture import Capture
    from engine.optimize.snapshot import SceneSnapshot
    from engine.optimize.splat_files import SplatScene
    from engine.scene import Camera

TOPICS = ("Axes", "Units", "Faces", "Textures", "Colour")
SPLAT_TOPICS = ("Axes", "Units", "Splats", "Colour")
LABEL = "Exporting"
FAULT_BELOW = 35.0  # dB, as engine.exchange.check has it
CHECK_SIDE = 512  # pixels, largest side of the views that the check draws
LOOK_MS = 150  # after the last key, before looking for files that are there
THUMBNAIL = 168  # pixels


def readable(size: int) -> str:
    """A file size in words."""
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{max(1, round(size / 1024))} KB"


def scene_of(session: Any) -> AssetScene | SplatScene | None:
    """What a session can export now, and views to check it from; None before there is a mesh or splats."""
    snapshot = session.snapshot_now()
    if snapshot.shows_splats:
        return splats_of(snapshot, session.capture)
    if snapshot.mesh is None or not len(snapshot.mesh.triangles):
        return None
    material = snapshot.material if snapshot.mesh.uvs is not None else None
    up = np.asarray(session.capture.up)
    return AssetScene(snapshot.mesh, material, snapshot.environment, up, check_cameras(session.capture))


def splats_of(snapshot: SceneSnapshot, capture: Capture | None) -> SplatScene:
    """The splats of a snapshot, of a run or of a file."""
    from engine.exchange import turntable
    from engine.optimize.splat_files import SplatScene

    if capture is not None:
        return SplatScene(snapshot.gaussians, snapshot.splat_look, np.asarray(capture.up), check_cameras(capture))
    up = np.array(SPLAT_FILES_UP)
    cameras = turntable(snapshot.gaussians.most_box, up, 2, (CHECK_SIDE, CHECK_SIDE))
    return SplatScene(snapshot.gaussians, snapshot.splat_look, up, tuple(cameras))


def check_cameras(capture: Capture) -> tuple[Camera, ...]:
    """A few of the photos' cameras, small."""
    train = capture.train
    chosen = sorted({train[i] for i in np.linspace(0, len(train) - 1, min(4, len(train))).round().astype(int)})
    cameras = []
    for frame in chosen:
        camera = capture.frames[frame].camera
        factor = min(1.0, CHECK_SIDE / max(camera.size))
        cameras.append(camera.resized(max(1, round(camera.width * factor)), max(1, round(camera.height * factor))))
    return tuple(cameras)


class ExportDialog(QDialog):
    """Reads the scene between two steps; writing happens in a child process and can be cancelled."""

    exported = Signal(object)  # AssetReport
    refused = Signal(str)

    def __init__(self, studio: Studio, parent: QWidget | None = None, choose: Chooser = ask_path) -> None:
        super().__init__(parent)
        self.setObjectName("export_dialog")
        self.setWindowTitle("Export the model")
        self.studio, self.choose = studio, choose
        self.scene: AssetScene | SplatScene | None = None
        self.splats = studio.snapshot is not None and studio.snapshot.shows_splats
        self._handle: Any = None
        self._there: list[str] = []  # files that an export would replace
        self._looking = QTimer(self, singleShot=True, interval=LOOK_MS)
        self._looking.timeout.connect(self._look)
        self.facts: dict[str, QLabel] = {}
        self.formats: dict[str, CheckBox] = {}
        self.sizes: dict[str, QLabel] = {}
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addWidget(self._facts())
        layout.addWidget(self._formats())
        layout.addLayout(self._place())
        layout.addWidget(self._outcome())
        layout.setSizeConstraint(QVBoxLayout.SizeConstraint.SetMinimumSize)
        layout.addLayout(self._foot())
        self.resize(620, 380)
        studio.busy_changed.connect(self._busy)
        self.read_scene()

    # ---- parts

    def _facts(self) -> QWidget:
        frame = QFrame()
        frame.setFrameShape(QFrame.Shape.StyledPanel)
        grid = QGridLayout(frame)
        grid.setColumnStretch(1, 1)
        for row, topic in enumerate(SPLAT_TOPICS if self.splats else TOPICS):
            title, words = QLabel(f"<b>{topic}</b>"), WrappedLabel("\u2026")
            words.setObjectName(f"fact_{topic.lower()}")
            words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(words, row, 1)
            self.facts[topic] = words
        return frame

    def _formats(self) -> QWidget:
        page = QWidget()
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for row, (kind, (title, purpose)) in enumerate((SPLAT_TITLES if self.splats else TITLES).items()):
            box, size = CheckBox(title), QLabel()
            box.setObjectName(f"format_{kind}")
            box.setToolTip(purpose)
            box.setChecked(row == 0)
            box.toggled.connect(lambda _: self._changed())
            size.setObjectName(f"size_{kind}")
            size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(box, row, 0)
            grid.addWidget(QLabel(purpose), row, 1)
            grid.addWidget(size, row, 2)
            self.formats[kind], self.sizes[kind] = box, size
        return page

    def _place(self) -> QGridLayout:
        project = self.studio.project
        self.name = QLineEdit(self.studio.recipe.export.name)
        self.name.setObjectName("export_name")
        self.name.setToolTip("Name of the files, without ending")
        self.folder = QLineEdit(str(project / "exports") if project is not None else str(Path.home()))
        self.folder.setObjectName("export_folder")
        self.folder.setToolTip("Folder that the files go to")
        browse = QPushButton("Choose\u2026")
        browse.setObjectName("export_choose")
        browse.setAutoDefault(False)
        browse.setToolTip("Choose the folder")
        browse.clicked.connect(self._browse)
        self.name.textChanged.connect(lambda _: self._changed())
        self.folder.textChanged.connect(lambda _: self._changed())
        grid = QGridLayout()
        grid.addWidget(QLabel("Name"), 0, 0)
        grid.addWidget(self.name, 0, 1)
        grid.addWidget(QLabel("Folder"), 1, 0)
        grid.addWidget(self.folder, 1, 1)
        grid.addWidget(browse, 1, 2)
        return grid

    def _outcome(self) -> QWidget:
        self.outcome = QFrame()
        self.outcome.setObjectName("export_outcome")
        self.outcome.setFrameShape(QFrame.Shape.StyledPanel)
        self.thumbnail = QLabel()
        self.thumbnail.setObjectName("export_thumbnail")
        self.thumbnail.setToolTip("What was written, read back and drawn")
        self.words = WrappedLabel()
        self.words.setObjectName("export_words")
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout(self.outcome)
        row.addWidget(self.thumbnail)
        row.addWidget(self.words, 1)
        self.outcome.hide()
        return self.outcome

    def _foot(self) -> QHBoxLayout:
        self.progress = ProgressBar()
        self.progress.setObjectName("export_progress")
        self.progress.setFormat("%p%")
        self.progress.hide()
        buttons = QDialogButtonBox()
        self.start = ForwardButton("Export")
        buttons.addButton(self.start, QDialogButtonBox.ButtonRole.ActionRole)
        self.start.setObjectName("export_start")
        self.start.setDefault(True)
        self.close_button = buttons.addButton("Close", QDialogButtonBox.ButtonRole.RejectRole)
        self.close_button.setObjectName("export_close")
        self.close_button.setAutoDefault(False)
        self.close_button.setToolTip("Close this dialog; an export under way is cancelled")
        self.start.clicked.connect(self.export)
        buttons.rejected.connect(self.reject)
        self.reason = WrappedLabel()
        self.reason.setObjectName("export_reason")
        row = QHBoxLayout()
        row.addWidget(self.progress, 1)
        row.addWidget(self.reason, 1)
        row.addStretch(0)
        row.addWidget(buttons)
        return row

    # ---- what happens

    def read_scene(self) -> None:
        """Take the scene of this moment, between two steps."""
        self.start.setEnabled(False)
        scene_now = self._scene_now()
        self.studio.background("", lambda handle: self._judged(scene_now(handle)), self._take, self._refuse)

    def _scene_now(self) -> Callable[[Any], AssetScene | SplatScene | None]:
        """What waits for the scene of this moment, given a handle to end the waiting by."""
        studio = self.studio
        if studio.session is None:
            shown = splats_of(studio.snapshot, studio.capture)  # of a file
            return lambda _handle: shown
        future = studio.call(scene_of)
        return lambda handle: result_of(future, handle)

    def _judged(self, scene: Any) -> tuple[Any, dict[str, str], dict[str, int]]:
        """(the scene, what to say of it, sizes of its files); None for a scene of another sort than at first."""
        if scene is None or isinstance(scene, AssetScene) == self.splats:
            return None, {}, {}
        if isinstance(scene, AssetScene):
            return scene, asset_facts(scene), estimated_sizes(scene)
        from engine.optimize.splat_files import splat_facts, splat_sizes

        return scene, splat_facts(scene), splat_sizes(scene)

    def _take(self, judged: tuple[Any, dict[str, str], dict[str, int]]) -> None:
        if not isValid(self):  # closed meanwhile
            return
        self.scene, facts, sizes = judged
        if self.scene is None:
            self._say("There is no surface yet. Run more steps, then export.")
            return
        for topic, text in facts.items():
            self.facts[topic].setText(text)
        for kind, box in self.formats.items():
            box.setEnabled(kind in sizes)
            self.sizes[kind].setText(f"about {readable(sizes[kind])}" if kind in sizes else "no light yet")
            if kind not in sizes:
                box.setChecked(False)
        self._looking.start()
        self._enable()

    @property
    def chosen(self) -> list[str]:
        """The formats that are ticked."""
        return [kind for kind, box in self.formats.items() if box.isChecked()]

    def _changed(self) -> None:
        """What was said of the files written before does not hold for what is chosen now."""
        if self._handle is None:
            self.outcome.hide()
        self._there = []
        self._looking.start()
        self._enable()

    def _chosen_folder(self) -> Path:
        project = self.studio.project
        return resolved(self.folder.text(), Path.home() if project is None else project)

    def _look(self) -> None:
        """See whether there are files that an export would replace; on a worker, since a folder may be far away."""
        if self._handle is not None or refusal(self.name.text(), self.folder.text(), self.chosen):
            return
        asked = self._chosen_folder(), self.name.text().strip(), self.chosen

        def done(there: list[str]) -> None:
            if isValid(self) and asked == (self._chosen_folder(), self.name.text().strip(), self.chosen):
                self._there = there
                self._enable()

        self.studio.background("", lambda _: replaced(*asked), done, lambda _: None)

    def _enable(self) -> None:
        why = refusal(self.name.text(), self.folder.text(), self.chosen)
        there = f"Export replaces {', '.join(self._there)}." if self._there and self._handle is None else ""
        self.reason.setText(why or there)
        self.reason.setVisible(bool(why or there))
        if self._handle is not None:
            why = "The files are being written."
        elif self.scene is None:
            why = "There is no surface yet that could be exported."
        self.start.setEnabled(not why)
        self.start.setToolTip(why or "Write the files and check them")

    def _browse(self) -> None:
        question = Question("Folder for the files", "folder", start=Path(self.folder.text() or "."))
        self.choose(self, question, lambda path: self.folder.setText(str(path)))

    def export(self) -> None:
        """Write the ticked formats; the outcome is shown below."""
        from engine.exchange.asset_child import export_in_child

        formats, name = self.chosen, self.name.text().strip()
        folder = self._chosen_folder()
        self.folder.setText(str(folder))
        self.outcome.hide()
        self.progress.setRange(0, 0)
        self.progress.show()

        scene_now = self._scene_now()  # of this moment: the run may have gone on

        def work(handle: Any) -> AssetReport:
            scene = scene_now(handle)
            scene = scene if type(scene) is type(self.scene) else self.scene
            if isinstance(scene, AssetScene):
                return export_in_child(folder, name, formats, scene, handle.report, lambda: handle.cancelled)
            from engine.optimize.splat_files import write_splat_files

            return write_splat_files(folder, name, formats, scene, handle.report)

        self._handle = self.studio.background(LABEL, work, self._done, self._refuse)
        self._enable()

    def _busy(self, label: str, done: float) -> None:
        if self._handle is not None and label.startswith(LABEL) and done >= 0:
            self.progress.setRange(0, 100)
            self.progress.setValue(round(100 * done))

    def _done(self, report: AssetReport) -> None:
        self._end()
        for kind in self.formats:
            written = [size for name, size in report.sizes.items() if self._format(name) == kind]
            if written:
                self.sizes[kind].setText(readable(sum(written)))
        files = "<br>".join(f"{name}, {readable(size)}" for name, size in report.sizes.items())
        lines = [f"<b>Written to {report.folder}</b>", files]
        if report.psnr is not None:
            verdict = "as it should be" if report.psnr >= FAULT_BELOW else "the files are at fault"
            lines.append(f"Read back and drawn again it matches to {report.psnr:.1f} dB: {verdict}.")
        lines += [html.escape(text) for text in report.notices]
        self._say("<br>".join(lines), report.thumbnail)
        self.exported.emit(report)

    def _format(self, name: str) -> str:
        suffix = Path(name).suffix.lower().removeprefix(".")
        return suffix if suffix in self.formats else "obj"

    def _refuse(self, error: BaseException) -> None:
        from app.window.background import described

        self._end()
        sentence = (
            "The export was cancelled; no file was changed." if isinstance(error, Cancelled) else described(error)[0]
        )
        self._say(sentence)
        self.refused.emit(sentence)

    def _end(self) -> None:
        self._handle = None
        self.progress.hide()
        self._looking.start()
        self._enable()

    def _say(self, text: str, thumbnail: np.ndarray | None = None) -> None:
        self.words.setText(text)
        self.thumbnail.setVisible(thumbnail is not None)
        if thumbnail is not None:
            pixmap = QPixmap.fromImage(as_image(thumbnail))
            modes = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            self.thumbnail.setPixmap(pixmap.scaled(THUMBNAIL, THUMBNAIL, *modes))
        self.outcome.show()
        QTimer.singleShot(0, self, lambda: self.resize(self.width(), self.sizeHint().height()))

    def reject(self) -> None:
        """Closes; cancels what is being written."""
        if self._handle is not None:
            self._handle.cancel()
        super().reject()
