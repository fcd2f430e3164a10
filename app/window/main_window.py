"""The main window: start page or viewport in the middle, panels around it, menus, and how it is closed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, QStandardPaths, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QWidget,
)

from app.window.actions import action
from app.window.busy_bar import BusyBar
from app.window.choosers import Question, ask_path
from app.window.closing_question import closing_question
from app.window.deletions import fill_deletions
from app.window.docks import is_there, panel_class
from app.window.draw_with import DRAW_WITH, DrawWith, chosen_draw_with
from app.window.draw_with import SETTING as DRAW_WITH_SETTING
from app.window.drops import Drops
from app.window.error_dialog import ErrorDialog
from app.window.files import Files
from app.window.help import AboutDialog, ShortcutsDialog
from app.window.icons import icon
from app.window.missing_photos import offer_photos
from app.window.option_names import in_words
from app.window.recover import offer_recovery
from app.window.start_page import StartPage
from app.window.theme import SETTING, THEMES, apply_theme, chosen_theme
from app.window.unsaved import UnsavedWarning
from app.window.workspace import Workspace

if TYPE_CHECKING:
    from app.window.studio import Studio

GEOMETRY, LAYOUT = "window/geometry", "window/layout"
VIEWPORT = "app.window.viewport.viewport:Viewport"


class MainWindow(QMainWindow):
    """One per program; everything it shows follows the studio."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.setObjectName("main_window")
        self.setWindowTitle("Unrender")
        self.setWindowIcon(icon("app"))
        self.setMinimumSize(760, 520)
        self.resize(1400, 900)
        self.studio = studio
        self.dark = apply_theme(QApplication.instance(), chosen_theme(studio.settings))
        self.choose = ask_path
        self.files = Files(studio, self, lambda *question: self.choose(*question))
        self.errors = ErrorDialog(self)
        self.start_page = StartPage(studio, files=self.files)
        self.question: QMessageBox | None = None  # asked before closing
        self._ending = ""  # "saving" once the threads were told to end, "done" once they have
        self.stack = QStackedWidget()
        self.stack.setObjectName("centre")
        self.stack.addWidget(self.start_page)
        self.setCentralWidget(self.stack)
        self.workspace = Workspace(studio)
        self.workspace.want_layout(studio.settings.value(LAYOUT))
        self.stack.addWidget(self.workspace)
        self.docks, self.controls = self.workspace.docks, self.workspace.controls
        self.controls.leaving = self.files.leaving
        self.busy = BusyBar(studio)
        self.statusBar().addPermanentWidget(self.busy)
        self._make_menus()
        geometry = studio.settings.value(GEOMETRY)
        if geometry is not None:
            self.restoreGeometry(geometry)
        self.leave_studio()
        Drops(self, self.files.open_path)
        studio.failed.connect(self.errors.tell)
        offer_photos(studio, self.files, self.errors)
        UnsavedWarning(studio, self.errors.tell, self)
        studio.state_changed.connect(self._state)
        studio.session_changed.connect(lambda _: self._title())
        studio.snapshot_changed.connect(self._snapshot)
        studio.capture_changed.connect(lambda _: self._title())
        studio.message_received.connect(self._message)
        studio.closed.connect(self._ended)
        studio.stayed.connect(self._stay)
        self.files.saved.connect(lambda _: studio.mark_saved())
        studio.project_moved.connect(lambda _: self._title())
        self.start_page.started.connect(self.enter_studio)
        self.docks.filled.connect(self._after_filling)
        QTimer.singleShot(0, self._fill)

    # ---- after the start

    def _fill(self) -> None:
        """Make what is not seen on the start page, without holding the window up."""
        if is_there(VIEWPORT):
            self.studio.background("", lambda handle: panel_class(VIEWPORT), self._take_viewport, self._no_viewport)
        else:
            self.docks.fill()

    def _take_viewport(self, kind: type[QWidget]) -> None:
        if self._ending == "done":  # closed before it came: nobody would end its thread
            return
        self.workspace.set_viewport(kind(self.studio))
        self.docks.fill()

    def _no_viewport(self, error: BaseException) -> None:
        self.studio.say(error)
        self.docks.fill()

    def _after_filling(self) -> None:
        offer_recovery(self.studio, self.files.recent, self)

    @property
    def is_ready(self) -> bool:
        """Whether every panel has been made."""
        return self.docks.is_filled

    # ---- start page and studio

    def enter_studio(self) -> None:
        """Show the viewport and the panels."""
        self.stack.setCurrentWidget(self.workspace)
        self._follow_page()

    def leave_studio(self) -> None:
        """Show the start page alone."""
        self.stack.setCurrentWidget(self.start_page)
        self._follow_page()

    def _follow_page(self) -> None:
        inside = self.stack.currentWidget() is self.workspace
        self.page_action.setChecked(not inside)
        self.page_action.setEnabled(self.studio.state != "empty" or self.studio.snapshot is not None)
        for dock in self.docks.docks.values():
            dock.toggleViewAction().setEnabled(inside)
        self.layout_action.setEnabled(inside)

    def _state(self, state: str) -> None:
        if state in ("running", "paused", "finished", "failed"):
            self.enter_studio()
        elif state == "empty":
            self.leave_studio()
        self._follow_page()
        self._title()

    def _snapshot(self, snapshot) -> None:
        """Go and see splats of a file that is not of a run."""
        if self.studio.session is None and snapshot is not None and snapshot.version == 0:
            self.enter_studio()
        elif self.studio.state == "empty" and snapshot is None:
            self.leave_studio()

    def _title(self) -> None:
        words = {"running": "running", "paused": "paused", "finished": "finished", "failed": "stopped by an error"}
        studio, parts = self.studio, []
        if studio.project is not None:
            parts.append(studio.project.name)
        elif studio.capture is not None:
            path = Path(studio.capture.path)
            parts.append((path.parent if path.is_file() else path).resolve().name)
        if studio.state in words:
            parts.append(words[studio.state])
        self.setWindowTitle(" \u2013 ".join([", ".join(parts), "Unrender"] if parts else ["Unrender"]))

    def _message(self, message: object) -> None:
        text = getattr(message, "text", "")
        if text and hasattr(message, "level"):
            self.statusBar().showMessage(in_words(text), 10000)

    # ---- menus

    def _make_menus(self) -> None:
        bar = self.menuBar()
        bar.setObjectName("menu_bar")
        self.menus: dict[str, QMenu] = {}
        for name in ("File", "Edit", "View", "Run", "Help"):
            menu = bar.addMenu(f"&{name}")
            menu.setObjectName(f"menu_{name.lower()}")
            menu.setToolTipsVisible(True)
            self.menus[name] = menu
        self.files.fill(self.menus["File"])
        self._recordings()
        self.menus["File"].addSeparator()
        self._action("File", "close", "Close", "Ctrl+W", "Close what is open", self.close_project)
        self._action("File", "quit", "Quit", "Ctrl+Q", "Close the window", self.close)
        stack = self.studio.undo_stack
        for name, made, keys in (
            ("undo", stack.createUndoAction(self, "Undo"), QKeySequence.StandardKey.Undo),
            ("redo", stack.createRedoAction(self, "Redo"), QKeySequence.StandardKey.Redo),
        ):
            made.setObjectName(f"edit_{name}")
            made.setProperty("listed_as", name.capitalize())  # whatever there is to undo
            made.setShortcut(QKeySequence(keys))
            made.setToolTip(f"{name.capitalize()} the last change of options, photos, region or splats")
            self.menus["Edit"].addAction(made)
        fill_deletions(self.menus["Edit"], self.studio)
        self._view_menu(self.menus["View"])
        self.controls.fill(self.menus["Run"])
        self._action("Help", "shortcuts", "Keyboard shortcuts", "F1", "Every key and what it does", self.show_shortcuts)
        self._action("Help", "about", "About Unrender", "", "Version and licence", self.show_about)

    def _recordings(self) -> None:
        """What the view's own button Save does, where one looks for it first."""
        tip = "Save what the view shows as a picture"
        picture = self._action(
            "File", "picture", "Save picture of the view\u2026", "Ctrl+P", tip, lambda: ask("picture")
        )
        tip = "Save a film that turns once around the object"
        film = self._action("File", "film", "Save turntable film\u2026", "", tip, lambda: ask("film"))

        def ask(what: str) -> None:
            if self.workspace.viewport is not None:
                getattr(self.workspace.viewport.toolbar, f"{what}_wanted").emit()

        def enable(*_: object) -> None:
            picture.setEnabled(self.studio.capture is not None or self.studio.snapshot is not None)
            film.setEnabled(self.studio.snapshot is not None)

        self.studio.capture_changed.connect(enable)
        self.studio.snapshot_changed.connect(enable)
        enable()

    def _action(self, menu: str, name: str, text: str, keys: str, tip: str, call) -> QAction:
        made = action(self, f"{menu.lower()}_{name}", text, tip, call, keys)
        self.menus[menu].addAction(made)
        return made

    def _view_menu(self, menu: QMenu) -> None:
        tip = "Go to the start page and back"
        self.page_action = self._action("View", "start", "Start page", "Ctrl+0", tip, self._turn)
        self.page_action.setCheckable(True)
        menu.addSeparator()
        for dock in self.docks.docks.values():
            menu.addAction(dock.toggleViewAction())
        tip = "Put every panel back where it was at first"
        self.layout_action = self._action("View", "layout", "Reset layout", "", tip, self.workspace.reset)
        menu.addSeparator()
        settings = self.studio.settings
        entries = {name: (words, "Colours of the window") for name, words in THEMES.items()}
        self._choice(menu, "theme", "Theme", entries, chosen_theme(settings), self.set_theme)
        self._choice(menu, "draw_with", "Draw the view with", DRAW_WITH, chosen_draw_with(settings), self.set_draw_with)
        menu.addSeparator()
        tip = "Save a picture of this window"
        shot = self._action("View", "screenshot", "Screenshot of the window\u2026", "F12", tip, self.ask_screenshot)
        shot.setIcon(icon("camera"))

    def _choice(self, menu: QMenu, name: str, title: str, entries: dict, chosen: str, call) -> None:
        """A menu of which one entry holds; `entries` are words and tip by name."""
        choices = menu.addMenu(title)
        choices.setObjectName(f"menu_{name}")
        choices.setToolTipsVisible(True)
        group = QActionGroup(self)
        for entry, (words, tip) in entries.items():
            action = choices.addAction(words)
            action.setObjectName(f"{name}_{entry}")
            action.setToolTip(tip)
            action.setCheckable(True)
            action.setChecked(entry == chosen)
            action.triggered.connect(lambda _=False, entry=entry: call(entry))
            group.addAction(action)

    def _turn(self) -> None:
        if self.stack.currentWidget() is self.workspace:
            self.leave_studio()
        else:
            self.enter_studio()

    def set_theme(self, name: str) -> None:
        """Change the colours, now and for later starts."""
        self.studio.settings.setValue(SETTING, name)
        self.dark = apply_theme(QApplication.instance(), name)

    def set_draw_with(self, name: DrawWith) -> None:
        """Have the view drawn by something else, now and for later starts."""
        self.studio.settings.setValue(DRAW_WITH_SETTING, name)
        if self.workspace.viewport is not None:
            self.workspace.viewport.model.set_draw_with(name)

    def show_shortcuts(self) -> ShortcutsDialog:
        """Open the table of shortcuts."""
        dialog = ShortcutsDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()
        return dialog

    def show_about(self) -> AboutDialog:
        """Say what this is."""
        dialog = AboutDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()
        return dialog

    def ask_screenshot(self) -> None:
        """Ask for a file and save a picture of the window in it."""
        picture = self.grab()
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation) or str(Path.home())
        start = Path(folder) / time.strftime("unrender %Y-%m-%d %H.%M.%S.png")
        question = Question("Save a picture of the window", "save", "Picture (*.png)", start)
        self.choose(self, question, lambda path: self._save_picture(picture.toImage(), Path(path)))

    def _save_picture(self, image, path: Path) -> None:
        path = path if path.suffix.lower() == ".png" else path.with_name(path.name + ".png")

        def work(_handle) -> None:
            if not image.save(str(path)):
                raise OSError(0, "The picture cannot be written", str(path))

        self.studio.background("Saving the picture", work, lambda _: self.studio.notice(f"Saved {path}"))

    # ---- closing

    @property
    def is_unfinished(self) -> bool:
        """Whether closing would end a run, or lose steps."""
        return self.studio.has_unsaved_steps

    def close_project(self) -> None:
        """Close what is open and go to the start page; a run is saved first."""
        self.files.leaving(self.studio.close_all)

    def close_without_asking(self) -> None:
        """Close at once; whoever made the studio closes that."""
        self._ending = "done"
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask where a run is not finished, end the threads, and only then close."""
        if self._ending == "done" or self.studio.has_ended:  # an ended studio never says `closed`
            self._remember()
            if self.workspace.viewport is not None:
                self.workspace.viewport.shut_down()
            self.errors.close()
            event.accept()
            return
        event.ignore()
        if self._ending:
            return
        if self.is_unfinished:
            self._ask()
        else:
            self._end(save=False)

    def _ask(self) -> None:
        if self.question is not None:
            self.question.raise_()
            return
        session = self.studio.session
        at_its_end = session is not None and session.finished and session.unsaved
        half_done = session is not None and not self.studio.can_save
        box = closing_question(self, at_its_end, half_done, self._end)
        box.finished.connect(self._answered)
        self.question = box
        box.open()

    def _answered(self, _result: int) -> None:
        if self.question is not None:
            self.question.deleteLater()
            self.question = None

    def _end(self, save: bool) -> None:
        self._ending = "saving"
        self.stack.setEnabled(False)
        self.studio.shut_down(save)

    def _stay(self) -> None:
        """What was to be saved could not be."""
        self._ending = ""
        self.stack.setEnabled(True)

    def _ended(self) -> None:
        self._ending = "done"
        self.close()

    def _remember(self) -> None:
        settings = self.studio.settings
        settings.setValue(GEOMETRY, self.saveGeometry())
        layout = self.workspace.layout_state()
        if layout is not None:
            settings.setValue(LAYOUT, layout)
        settings.sync()

    def sizeHint(self) -> QSize:
        """The size at the first start."""
        return QSize(1400, 900)
