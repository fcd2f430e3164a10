"""The File menu: new, open, save, save as, recent, import and export, as actions on the studio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import QMenu, QMessageBox, QWidget

from app.window.actions import action
from app.window.choosers import LIGHTS, MESHES, SPLATS, VIDEOS, Chooser, Question, ask_path
from app.window.project_picture import ProjectPicture
from app.window.recent import RecentProjects
from app.window.recipe_choice import choose_recipe
from app.window.unsaved import ELSEWHERE
from app.window.waiting import result_of
from engine.exchange import holds_splats

if TYPE_CHECKING:
    from app.window.export_dialog import ExportDialog
    from app.window.studio import Studio
    from engine.scene import Gaussians

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
SPLAT_SUFFIXES = (".ply", ".spz")
LIGHT_SUFFIXES = (".hdr",)
SAVE = "Write a checkpoint of this moment"
HALF_A_STEP = "An error left a step half done: Try again goes back to where the run was last saved"
PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".exr")


class Files(QObject):
    """One per window; `actions` by name, `fill(menu)` makes the File menu's upper part."""

    exported = Signal(object)  # AssetReport
    saved = Signal(object)  # Path of the checkpoint or of the copy

    def __init__(self, studio: Studio, window: QWidget, choose: Chooser = ask_path) -> None:
        super().__init__(window)
        self.studio, self.window, self.choose = studio, window, choose
        self.recent = RecentProjects(studio.settings, self, studio.background)
        self.picture = ProjectPicture(studio)
        self.actions: dict[str, QAction] = {}
        add = self._add
        add(
            "new",
            "New from images\u2026",
            "Ctrl+N",
            self.new,
            "Open a folder of photos; camera poses that they lack are found first",
        )
        tip = "Open a video, a transforms.json or a project.toml; camera poses that a video lacks are found first"
        add("new_file", "New from a video or file\u2026", "Ctrl+Shift+N", self.open_file, tip)
        add("open", "Open\u2026", "Ctrl+O", self.open, "Open a project's or a capture's folder")
        add("sample", "Open the sample capture", "", self.open_sample, "Open the photos that come with Unrender")
        add("save", "Save", "Ctrl+S", self.save, SAVE)
        tip = "Copy the whole project to a new folder and go on there"
        add("save_as", "Save as\u2026", "Ctrl+Shift+S", self.save_as, tip)
        add("mesh", "Import mesh\u2026", "", self.import_mesh, "Start the next run from a mesh of yours")
        tip = "Look at Gaussian splats of yours (PLY or SPZ); where photos are open, the next run starts from them"
        add("splats", "Import splats\u2026", "", self.import_splats, tip)
        add("light", "Import light\u2026", "", self.import_light, "Look at the scene in the light of an HDR file")
        add("export", "Export\u2026", "Ctrl+E", self.export, "Write the model for other programs")
        self.recent_menu = QMenu("Open recent", window)
        self.recent_menu.setObjectName("recent_menu")
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        self.recent.changed.connect(self._enable_recent)
        for signal in (studio.state_changed, studio.session_changed, studio.snapshot_changed, studio.capture_changed):
            signal.connect(lambda _: self._enable())
        self._open_project: Path | None = None
        studio.session_changed.connect(self._remember)
        studio.state_changed.connect(self._note_state)
        studio.closed.connect(self._put_aside)
        self._enable()
        self._enable_recent()

    def _add(self, name: str, text: str, keys: str, call: Callable[[], None], tip: str) -> None:
        self.actions[name] = action(self, f"file_{name}", text, tip, call, keys)

    def fill(self, menu: QMenu) -> None:
        """Add everything to a menu."""
        for name in ("new", "new_file", "open", "sample"):
            menu.addAction(self.actions[name])
        menu.addMenu(self.recent_menu)
        menu.addSeparator()
        for name in ("save", "save_as"):
            menu.addAction(self.actions[name])
        menu.addSeparator()
        for name in ("mesh", "splats", "light", "export"):
            menu.addAction(self.actions[name])

    # ---- opening

    def new(self) -> None:
        """Ask for a folder of photos and open it."""
        self.choose(self.window, Question("Folder of photos", "folder"), self.open_path)

    def open(self) -> None:
        """Ask for the folder of a project or capture and open it."""
        self.choose(self.window, Question("Folder of a project or of photos", "folder"), self.open_path)

    def open_file(self) -> None:
        """Ask for a video, or for the file that says what a capture or project holds, and open it."""
        self.choose(self.window, Question("Video or file of a capture", "file", VIDEOS), self.open_path)

    def find_photos(self, project: Path) -> None:
        """Ask where a project's photos are now, and open it with them."""
        question = Question(f"Where the photos of {project.name} are now", "folder")
        self.choose(self.window, question, lambda photos: self.leaving(lambda: self.studio.open(project, photos)))

    def open_sample(self) -> None:
        """Open the sample capture."""
        self.leaving(self.studio.open_sample)

    def open_path(self, path: Path) -> None:
        """Open what a path names: a project, a capture or one of its photos, a mesh to refine, splats, an HDR light.

        Asks before it ends a run.
        """
        path = Path(path)
        if path.suffix.lower() in SPLAT_SUFFIXES and path.is_file() and holds_splats(path):
            self.take_splats(path)
        elif path.suffix.lower() in MESH_SUFFIXES and path.is_file():
            self.take_mesh(path)
        elif path.suffix.lower() in LIGHT_SUFFIXES and path.is_file():
            self.take_light(path)
        elif path.suffix.lower() in PHOTO_SUFFIXES and path.is_file():
            self.leaving(lambda: self.studio.open(path.parent))
        else:
            self.leaving(lambda: self.studio.open(path))

    def leaving(self, then: Callable[[], object]) -> None:
        """Do `then`, once a run that goes on has been stopped with the user's consent."""
        studio = self.studio
        unsaved = studio.can_save and studio.has_unsaved_steps
        if studio.session is None or not (studio.state in ("running", "paused") or unsaved):
            then()
            return
        what = "The run is not finished." if studio.state in ("running", "paused") else "The run is not saved."
        box = self._box(what, "It is saved first, and can go on later from where it is now.")
        leave = box.addButton("Save and leave", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel).setIcon(QIcon())  # the style's is hard to see
        leave.clicked.connect(lambda: self._saved_then(then))
        box.open()

    def _box(self, text: str, more: str) -> QMessageBox:
        box = QMessageBox(QMessageBox.Icon.Question, "Unrender", text, QMessageBox.StandardButton.NoButton, self.window)
        box.setObjectName("question")
        box.setInformativeText(more)
        box.finished.connect(box.deleteLater)
        return box

    def _saved_then(self, then: Callable[[], object]) -> None:
        future = self.studio.call(lambda session: session.checkpoint())
        self.studio.background("Saving", lambda handle: result_of(future, handle), lambda _: then(), self._not_saved)

    def _not_saved(self, error: BaseException) -> None:
        self.studio.say(error, ELSEWHERE)

    def _fill_recent(self) -> None:
        self.recent.look()
        self.recent_menu.clear()
        for entry in self.recent.projects():
            known = self.recent_menu.addAction(f"{entry.name}    {Path(entry.folder).parent}")
            known.setToolTip(entry.folder)
            known.triggered.connect(lambda _checked=False, folder=entry.folder: self.open_path(Path(folder)))

    def _remember(self, session: Any) -> None:
        if session is None:
            self._put_aside()
            return
        self._open_project = Path(session.project.folder)
        running = not session.finished
        self.recent.add(self._open_project, str(session.project.capture_path), running)

    def _note_state(self, state: str) -> None:
        """Keep in the settings whether a run is under way, for `recover` to find after a crash."""
        if self._open_project is not None and state in ("running", "finished"):
            self.recent.mark(self._open_project, state == "running")

    def _put_aside(self) -> None:
        """The project was left as it should be."""
        if self._open_project is not None:
            self.recent.mark(self._open_project, False)
            self._open_project = None

    # ---- saving

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        future = self.studio.call(lambda session: session.checkpoint())
        self.studio.background("Saving", lambda handle: result_of(future, handle), self._tell_saved, self._not_saved)

    def _tell_saved(self, path: Path | None) -> None:
        if path is None:
            self.studio.notice("This stage cannot be saved half way; it was saved when the stage before it ended.")
        else:
            self.studio.notice(f"Saved in {self.studio.project}")
        self.saved.emit(path)

    def save_as(self) -> None:
        """Ask for a new folder, copy the project to it and go on there."""
        project = self.studio.project
        if project is None:
            return
        start = project.with_name(f"{project.name} copy")
        self.choose(self.window, Question("Save the project as", "new folder", start=start), self.copy_to)

    def copy_to(self, target: Path) -> None:
        """Copy the project to `target`, which appears whole or not at all, and have the run go on there.

        It may go on while it is copied; it moves between two steps. One that an error stopped is opened anew there.
        """
        from app.window.project_copy import copy_project, copy_session

        studio, session, failed = self.studio, self.studio.session, not self.studio.can_save
        if session is None:
            return
        project = Path(session.project.folder)

        def work(handle: Any) -> bool:
            if not failed:
                return copy_session(session, target, handle)
            copy_project(project, target, handle.report, lambda: handle.cancelled)
            return False

        def done(moved: bool) -> None:
            if moved and studio.session is session:
                self.recent.mark(project, False)
                self._open_project = Path(target)
                self.recent.add(target, str(session.project.capture_path), not session.finished)
                studio.project_moved.emit(Path(target))
                studio.notice(f"Saved as {target}; this window goes on there. {project} stays as it was.")
            elif failed and studio.session is session:
                studio.open(target)
            else:  # another project is open by now
                self.recent.add(target, running=False)
                studio.notice(f"Saved a copy in {target}")
            self.saved.emit(Path(target))

        studio.background("Saving under a new name", work, done)

    # ---- importing

    def import_mesh(self) -> None:
        """Ask for a mesh and have the next run refine it."""
        self.choose(self.window, Question("Mesh to refine", "file", MESHES), self.take_mesh)

    def take_mesh(self, path: Path) -> None:
        """Have the next run refine the mesh of a file, once it has proved readable; splats are taken as such."""
        if holds_splats(path):
            self.take_splats(path)
            return
        if self.studio.session is not None:
            self.studio.notice("A mesh can be imported before a run starts: begin a new run first.", "warning")
            return

        def work(handle: Any) -> int:
            from engine.exchange import read_mesh

            handle.report(-1.0, path.name)
            return len(read_mesh(path).triangles)

        def done(faces: int) -> None:
            choose_recipe(self.studio, "refine", str(Path(path).absolute()))
            self.studio.notice(f"The next run refines {path.name} ({faces:,} faces).")

        self.studio.background("Reading the mesh", work, done)

    def import_splats(self) -> None:
        """Ask for a file of splats and show them."""
        self.choose(self.window, Question("Splats to look at", "file", SPLATS), self.take_splats)

    def take_splats(self, path: Path) -> None:
        """Show the splats of a file; where photos are open, the next run starts from them."""
        studio, path = self.studio, Path(path).absolute()
        if studio.session is not None:
            studio.notice("Splats can be imported before a run starts: begin a new run first.", "warning")
            return

        def work(handle: Any) -> tuple[Gaussians, list[str]]:
            from engine.exchange import read_splats

            handle.report(-1.0, path.name)
            notices: list[str] = []
            return read_splats(path, notices.append), notices

        def done(found: tuple[Gaussians, list[str]]) -> None:
            splats, notices = found
            for text in notices:
                studio.notice(text, "warning")
            what = f"{path.name}: {len(splats):,} splats, {splats.megabytes:.3g} MB"
            if studio.capture is not None:
                choose_recipe(studio, "scene", splats=path, kind=splats.kind)
                what += "; the next run starts from them"
            studio.show_splats(None)
            studio.show_splats(splats)
            studio.notice(f"{what}.")

        studio.background("Reading the splats", work, done)

    def import_light(self) -> None:
        """Ask for an HDR file and light the view with it."""
        self.choose(self.window, Question("Light to look at the scene in", "file", LIGHTS), self.take_light)

    def take_light(self, path: Path) -> None:
        """Light the view with an HDR file; what is optimized does not change."""
        capture = self.studio.capture
        up = capture.up if capture is not None else (0.0, 1.0, 0.0)

        def work(handle: Any) -> Any:
            from engine.exchange import read_environment

            handle.report(-1.0, path.name)
            return read_environment(path, up)

        self.studio.background("Reading the light", work, self.studio.set_relight)

    # ---- exporting

    def export(self) -> ExportDialog | None:
        """Open the export dialog."""
        from app.window.export_dialog import ExportDialog

        if not self.actions["export"].isEnabled():
            return None
        dialog = ExportDialog(self.studio, self.window, self.choose)
        dialog.exported.connect(self.exported)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def _enable(self) -> None:
        session, snapshot = self.studio.session, self.studio.snapshot
        has_model = snapshot is not None and (snapshot.mesh is not None or snapshot.shows_splats)
        busy = self.studio.state in ("opening", "running")
        save = self.actions["save"]
        save.setEnabled(self.studio.can_save)
        off = session is not None and not save.isEnabled()
        save.setToolTip(HALF_A_STEP if off else SAVE)
        self.actions["save_as"].setEnabled(session is not None)
        self.actions["mesh"].setEnabled(session is None and self.studio.capture is not None)
        self.actions["splats"].setEnabled(session is None and not busy)
        self.actions["light"].setEnabled(self.studio.capture is not None)
        self.actions["export"].setEnabled(has_model)

    def _enable_recent(self) -> None:
        self.recent_menu.setEnabled(bool(self.recent.projects()))
