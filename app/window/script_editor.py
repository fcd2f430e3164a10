"""The script editor: a Python file that runs in the console's namespace, and what became of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QMessageBox, QVBoxLayout, QWidget

import assets
from app.window.actions import button
from app.window.choosers import Chooser, Question, ask_path
from app.window.code_edit import CodeEdit
from app.window.script_host import script_host

if TYPE_CHECKING:
    from app.window.studio import Studio

SCRIPTS = "Python scripts (*.py)"
UNTITLED = "untitled.py"
DRAFT, DRAFT_PATH = "script/draft", "script/draft_path"  # settings: changes that no file has, and the file they are of
DRAFT_MS = 500  # after the last key, until the draft is kept
START = '# Runs in the console\'s namespace: type "session." there and press Tab.\n'


class ScriptEditor(QWidget):
    """Nothing runs until Run is pressed. What is not saved is kept in the settings and is there at the next start."""

    def __init__(self, studio: Studio, parent: QWidget | None = None, chooser: Chooser = ask_path) -> None:
        super().__init__(parent)
        self.setObjectName("script_editor")
        self._studio, self._ask = studio, chooser
        self._host = script_host(studio, self)
        self.path: Path | None = None
        self.running = False
        self.text = CodeEdit()
        self.text.setAccessibleName("Script")
        self._take_draft()
        self._draft = QTimer(self)
        self._draft.setSingleShot(True)
        self._draft.setInterval(DRAFT_MS)
        self._draft.timeout.connect(self._keep_draft)
        self.text.document().contentsChanged.connect(self._draft.start)
        self.text.document().modificationChanged.connect(self._changed)
        studio.ending.connect(self._keep_draft)
        self.name = QLabel()
        self.name.setObjectName("script_name")
        self.outcome = QLabel()
        self.outcome.setObjectName("script_outcome")
        self.outcome.setWordWrap(True)
        self.outcome.setToolTip("What became of the script; its output is in the console")
        self.run_button = button("script_run", "Run", "Run the script in the console's namespace (F5)", self.run)
        self.stop_button = button("script_stop", "Stop", "Stop the script; the run itself goes on", self.stop)
        new = button("script_new", "New", "An empty script", self.new)
        self.open_button = button("script_open", "Open", "Open a script, or one of the examples", lambda: None)
        self.open_button.setMenu(self._open_menu())
        save = button("script_save", "Save", "Save the script (Ctrl+S)", self.save)
        save_as = button("script_save_as", "Save as …", "Save the script under another name", self.save_as)
        self.text.run_pressed.connect(self.run_button.click)
        self.text.save_pressed.connect(save.click)
        bar = QHBoxLayout()
        for widget in (new, self.open_button, save, save_as):
            bar.addWidget(widget)
        bar.addStretch(1)
        for widget in (self.run_button, self.stop_button):
            bar.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addLayout(bar)
        layout.addWidget(self.name)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.outcome)
        self.setFocusProxy(self.text)
        self._refresh()

    def _open_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("Open a file …", self._ask_open).setObjectName("script_open_file")
        menu.addSection("Examples")
        for path in assets.scripts():
            title = path.stem.replace("_", " ").capitalize()
            menu.addAction(title, partial(self.open_example, path)).setObjectName(f"script_example_{path.stem}")
        return menu

    # ---- files

    @property
    def modified(self) -> bool:
        """Whether there are changes that no file has."""
        return self.text.document().isModified()

    def _refresh(self) -> None:
        name = self.path.name if self.path is not None else UNTITLED
        self.name.setText(f"● {name}, not saved" if self.modified else name)
        self.name.setToolTip(str(self.path) if self.path is not None else "This script has no file yet")
        self.run_button.setEnabled(not self.running)
        self.stop_button.setEnabled(self.running)

    def _changed(self, _modified: bool) -> None:
        self._draft.start()
        self._refresh()

    def _take_draft(self) -> None:
        settings = self._studio.settings
        text, path = settings.value(DRAFT), settings.value(DRAFT_PATH)
        if text is not None and path:
            self.path = Path(path)
        self.text.setPlainText(START if text is None else str(text))
        self.text.document().setModified(text is not None)

    def _keep_draft(self) -> None:
        settings = self._studio.settings
        if not self.modified:
            settings.remove(DRAFT)
            settings.remove(DRAFT_PATH)
            return
        settings.setValue(DRAFT, self.text.toPlainText())
        settings.setValue(DRAFT_PATH, str(self.path) if self.path is not None else "")

    def _if_unsaved_may_go(self, then: Any) -> None:
        """Call `then()`, after asking where changes would be lost."""
        if not self.modified:
            then()
            return
        box = QMessageBox(self)
        box.setObjectName("script_unsaved")
        box.setIcon(QMessageBox.Icon.Question)
        box.setText("The script has changes that are not saved.")
        kinds = QMessageBox.StandardButton
        box.setStandardButtons(kinds.Save | kinds.Discard | kinds.Cancel)
        for known in box.buttons():
            known.setIcon(QIcon())  # the style's are black, on dark ground too

        def answered(code: int) -> None:
            if code == kinds.Discard:
                then()
            elif code == kinds.Save:
                self.save(then)

        box.finished.connect(answered)
        box.open()

    def new(self) -> None:
        """Begin an empty script."""
        self._if_unsaved_may_go(lambda: self._show(START, None))

    def _ask_open(self) -> None:
        start = self.path.parent if self.path is not None else None
        ask = partial(self._ask, self, Question("Open a script", "file", SCRIPTS, start), self._read)
        self._if_unsaved_may_go(ask)

    def open_example(self, path: Path) -> None:
        """Show an example; saving it asks where."""
        self._if_unsaved_may_go(lambda: self._read(path, keep=False))

    def open_file(self, path: Path) -> None:
        """Open a script."""
        self._if_unsaved_may_go(lambda: self._read(path))

    def _read(self, path: Path, keep: bool = True) -> None:
        from app.scripting.script_file import script_text

        self._studio.background(
            "", lambda _handle: script_text(path), lambda text: self._show(text, path if keep else None), self._failed
        )

    def _failed(self, error: BaseException) -> None:
        self._studio.say(error)

    def _show(self, text: str, path: Path | None) -> None:
        self.path = path
        self.text.setPlainText(text)
        self.text.document().setModified(False)
        self.outcome.setText("")
        self._refresh()

    def save(self, then: Any = None) -> None:
        """Write the script to its file, asking for one where there is none."""
        if self.path is None:
            self.save_as(then)
        else:
            self._write(self.path, then)

    def save_as(self, then: Any = None) -> None:
        """Write the script to another file."""
        start = (self.path.parent if self.path is not None else Path.home()) / UNTITLED
        question = Question("Save the script", "save", SCRIPTS, start)
        self._ask(self, question, lambda path: self._write(path if path.suffix else path.with_suffix(".py"), then))

    def _write(self, path: Path, then: Any) -> None:
        text = self.text.toPlainText()

        def work(_handle: Any) -> None:
            from engine.exchange.atomic import write_file

            write_file(path, text.encode())

        def done(_: Any) -> None:
            self.path = path
            if self.text.toPlainText() == text:
                self.text.document().setModified(False)
            self._refresh()
            if then is not None:
                then()

        self._studio.background("", work, done, self._failed)

    # ---- running

    def run(self) -> None:
        """Run what the editor shows, saved or not."""
        if self.running:
            return
        self.running = True
        self.text.clear_failure()
        self.outcome.setText("Running … its output is in the console")
        self._refresh()
        file = str(self.path) if self.path is not None else UNTITLED
        self._host.run(self.text.toPlainText(), file, self._ended)

    def stop(self) -> None:
        """Interrupt the script."""
        self.outcome.setText("Stopping …")
        self._host.interrupt()

    def _ended(self, failure: Any, interrupted: bool) -> None:
        self.running = False
        if failure is not None:
            self.outcome.setText(str(failure))
            if failure.line:
                self.text.go_to(failure.line, failed=True)
        else:
            self.outcome.setText("Stopped" if interrupted else "The script has ended")
        self._refresh()
