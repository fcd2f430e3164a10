"""The script editor with real keys: opening, saving, running in the console's namespace, failing, stopping."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMessageBox, QPushButton, QWidget

from app.window.console_panel import ConsolePanel
from app.window.script_editor import DRAFT, ScriptEditor
from app.window.theme import apply_theme
from tests.app.window.conftest import wait_for
from tests.app.window.watchdog import slowness


@pytest.fixture
def answers() -> list:
    """Paths that dialogs would give, in order."""
    return []


@pytest.fixture
def both(qtbot, open_studio, answers):
    """An editor beside a console."""
    window = QWidget()
    qtbot.addWidget(window)
    window.editor = ScriptEditor(open_studio, chooser=lambda parent, question, then: then(answers.pop(0)))
    window.console = ConsolePanel(open_studio)
    row = QHBoxLayout(window)
    row.addWidget(window.editor)
    row.addWidget(window.console)
    window.resize(1200, 520)
    window.show()
    wait_for(qtbot, lambda: window.console.console is not None and window.console.console._prompt)
    return window


def press(qtbot, widget, name: str) -> None:
    button = widget.findChild(QPushButton, name)
    assert button.isEnabled(), name
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def write(qtbot, editor, text: str) -> None:
    editor.text.selectAll()
    qtbot.keyClick(editor.text, Qt.Key.Key_Delete)
    for line in text.splitlines():
        qtbot.keyClicks(editor.text, line)
        qtbot.keyClick(editor.text, Qt.Key.Key_Return)


def output(both) -> str:
    return both.console.console._control.toPlainText()


def test_a_script_runs_in_the_consoles_namespace(both, qtbot, shoot, watchdog):
    watchdog.forgive()
    write(qtbot, both.editor, "answer = 6 * 7\nprint('it is', answer, __name__)")
    assert both.editor.name.text() == "● untitled.py, not saved"
    press(qtbot, both.editor, "script_run")
    wait_for(qtbot, lambda: both.editor.outcome.text() == "The script has ended")
    wait_for(qtbot, lambda: "it is 42 __main__" in output(both))
    qtbot.keyClicks(both.console.console._control, "answer + 1")
    qtbot.keyClick(both.console.console._control, Qt.Key.Key_Return)
    wait_for(qtbot, lambda: "Out[1]: 43" in output(both))
    shoot(both, "script_editor")


def test_a_script_that_raises_shows_file_line_and_message(both, qtbot, tmp_path, shoot):
    apply_theme(QApplication.instance(), "dark")
    path = tmp_path / "breaks.py"
    path.write_text('"""A docstring\nover two lines."""\n\n\ndef half(x):\n    return x / 0  # oh\n\n\nhalf(3)\n')
    both.editor.open_file(path)
    wait_for(qtbot, lambda: both.editor.path == path)
    press(qtbot, both.editor, "script_run")
    wait_for(qtbot, lambda: not both.editor.running)
    assert both.editor.outcome.text() == f"{path}, line 6: ZeroDivisionError: division by zero"
    assert both.editor.text.textCursor().blockNumber() == 5
    wait_for(qtbot, lambda: "in half" in output(both))
    qtbot.wait(100)
    shoot(both, "script_editor_dark")
    apply_theme(QApplication.instance(), "light")
    write(qtbot, both.editor, "a = 1\nb = = 2")
    qtbot.keyClick(both.editor.text, Qt.Key.Key_F5)
    wait_for(qtbot, lambda: "line 2: SyntaxError" in both.editor.outcome.text())


def test_stop_ends_an_endless_script_within_a_second(both, qtbot, watchdog):
    write(qtbot, both.editor, "print('be' + 'gun')\nn = 0\nwhile True:\nn += 1")  # the editor indents by itself
    watchdog.forgive()
    press(qtbot, both.editor, "script_run")
    wait_for(qtbot, lambda: "begun" in output(both))
    qtbot.wait(200)
    assert both.editor.running
    since = time.process_time()  # which an endless loop uses up
    press(qtbot, both.editor, "script_stop")
    wait_for(qtbot, lambda: not both.editor.running)
    assert time.process_time() - since < slowness()  # seconds
    assert both.editor.outcome.text() == "Stopped"


def test_saving_asks_once_and_the_mark_goes(both, qtbot, tmp_path, answers):
    write(qtbot, both.editor, "print(1)")
    answers.append(tmp_path / "mine")
    press(qtbot, both.editor, "script_save")
    wait_for(qtbot, lambda: not both.editor.modified)
    assert (tmp_path / "mine.py").read_text() == "print(1)\n" and both.editor.name.text() == "mine.py"
    qtbot.keyClicks(both.editor.text, "# more")
    assert both.editor.modified
    qtbot.keyClick(both.editor.text, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    wait_for(qtbot, lambda: not both.editor.modified)
    assert "# more" in (tmp_path / "mine.py").read_text()


def test_unsaved_changes_are_asked_about_before_another_script_opens(both, qtbot):
    write(qtbot, both.editor, "precious = 1")
    both.editor.open_button.menu().actions()[-1].trigger()
    box = both.editor.findChild(QMessageBox, "script_unsaved")
    assert box.isVisible() and both.editor.text.toPlainText() == "precious = 1\n"
    qtbot.mouseClick(box.button(QMessageBox.StandardButton.Discard), Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: "KEY" in both.editor.text.toPlainText())
    assert both.editor.path is None and not both.editor.modified


def test_a_file_that_cannot_be_saved_says_so(both, qtbot, open_studio, answers, tmp_path):
    write(qtbot, both.editor, "x = 1")
    answers.append(tmp_path / "nowhere" / "deep" / "x.py")
    (tmp_path / "nowhere").write_text("a file, not a folder")
    press(qtbot, both.editor, "script_save")
    wait_for(qtbot, lambda: open_studio.problems)
    assert both.editor.modified and both.editor.path is None


def test_what_is_not_saved_is_there_at_the_next_start(both, qtbot, open_studio, answers, tmp_path):
    kept = 'print("\u00e4, 1;2")  # precious\nfor i in range(3):\n    print(i)\n'
    both.editor.text.selectAll()
    both.editor.text.insertPlainText(kept)
    open_studio.ending.emit()  # as at the end of the program, before half a second has passed
    again = ScriptEditor(open_studio)
    qtbot.addWidget(again)
    assert again.text.toPlainText() == kept and again.modified and again.path is None
    answers.append(tmp_path / "mine.py")
    press(qtbot, both.editor, "script_save")
    wait_for(qtbot, lambda: not both.editor.modified)
    wait_for(qtbot, lambda: open_studio.settings.value(DRAFT) is None)
    fresh = ScriptEditor(open_studio)
    qtbot.addWidget(fresh)
    assert not fresh.modified and "precious" not in fresh.text.toPlainText()
    qtbot.keyClicks(both.editor.text, "# more")
    kept = both.editor.text.toPlainText()
    wait_for(qtbot, lambda: open_studio.settings.value(DRAFT) == kept)  # a while after the last key
    again = ScriptEditor(open_studio)
    qtbot.addWidget(again)
    assert again.path == tmp_path / "mine.py" and again.text.toPlainText() == kept
