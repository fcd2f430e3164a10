"""The main window by clicks and keys: pages, panels, menus, themes, layout, closing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPalette
from PySide6.QtWidgets import QApplication, QPushButton, QTabBar, QToolButton, QWidget

from app.window.application import has_display
from app.window.closing_question import closing_question
from app.window.docks import left_behind
from app.window.main_window import MainWindow
from app.window.recover import last_save
from tests.app.window.conftest import own_threads, wait_for

ROOT = Path(__file__).resolve().parents[3]
PANELS = ("capture", "recipe", "light", "plots", "console", "script", "log", "lens")
LEFT = Qt.MouseButton.LeftButton


def click(qtbot, parent, name, kind=QPushButton):
    qtbot.mouseClick(parent.findChild(kind, name), LEFT)


def trigger(window, menu, name):
    next(action for action in window.menus[menu].actions() if action.objectName() == name).trigger()


def short(studio, steps=1_000_000):
    """A run of hull and volume that would take long."""
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("volume.steps", steps)
    studio.set_option("run.evaluate", False)


def test_it_begins_with_the_start_page_alone(window, shoot):
    assert window.start_page.isVisible() and not window.workspace.isVisible()
    assert not window.studio.problems
    shoot(window, "main_start")


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_is_made(window, name):
    assert window.docks.panel(name) is not None


def test_no_part_of_the_window_flashes_up_as_a_window_of_its_own(studio, qtbot):
    shown = []

    class Watcher(QObject):
        def eventFilter(self, watched, event):
            if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                shown.append(watched.objectName())
            return False

    watcher = Watcher()
    QApplication.instance().installEventFilter(watcher)
    made = MainWindow(studio)
    made.show()
    wait_for(qtbot, lambda: made.is_ready)
    QApplication.instance().removeEventFilter(watcher)
    made.close_without_asking()
    assert set(shown) == {"main_window"}, shown


def test_a_dropped_folder_opens_and_the_studio_is_shown(window, tiny_capture, qtbot, shoot, watchdog):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tiny_capture))])
    drop = (Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(50, 50), *drop)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(50, 50), *drop))
    wait_for(qtbot, lambda: window.studio.state == "ready")
    assert "balls" in window.windowTitle()
    watchdog.forgive()
    qtbot.keyClick(window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    wait_for(qtbot, lambda: window.workspace.toolbar.isVisible() and window.docks.docks["capture"].isVisible())
    qtbot.wait(300)
    watchdog.forgive()  # the first painting of every panel
    shoot(window, "main_ready")
    watchdog.forgive()
    window.resize(1000, 700)
    wait_for(qtbot, lambda: window.workspace.viewport.width() < 700)
    qtbot.wait(100)
    shoot(window, "main_ready_small")
    watchdog.forgive()
    centre = window.workspace.viewport.size()
    assert centre.width() >= 330 and centre.height() >= 250, centre


def test_panels_hide_and_the_layout_goes_back(window, open_studio, qtbot):
    window.enter_studio()
    dock = window.docks.docks["capture"]
    dock.toggleViewAction().trigger()
    assert not dock.isVisible()
    trigger(window, "View", "view_layout")
    assert dock.isVisible()


def test_a_tab_names_its_panel_alone_and_can_be_taken_out(window, open_studio, qtbot):
    window.enter_studio()
    dock = window.docks.docks["light"]
    wait_for(qtbot, lambda: dock.titleBarWidget() is not None)
    assert window.docks.docks["capture"].titleBarWidget() is None
    bar = next(bar for bar in window.docks._bars if dock.windowTitle() in [bar.tabText(i) for i in range(bar.count())])
    names = [bar.tabText(index) for index in range(bar.count())]
    bar.tabBarDoubleClicked.emit(names.index(dock.windowTitle()))
    wait_for(qtbot, lambda: dock.isFloating() and dock.titleBarWidget() is None)
    trigger(window, "View", "view_layout")
    assert not dock.isFloating()


def test_the_title_names_the_project_by_its_new_name(window, monkeypatch, tmp_path):
    assert window.windowTitle() == "Unrender"
    monkeypatch.setattr(type(window.studio), "project", tmp_path / "new name")
    window.studio.project_moved.emit(tmp_path / "new name")
    assert window.windowTitle() == "new name \u2013 Unrender"


def test_no_tabs_stay_on_the_screen_of_docks_that_have_joined_others(window, qtbot):
    workspace, later = window.workspace, window.docks._later
    changes = (window.enter_studio, lambda: window.resize(1000, 700), lambda: window.resize(1400, 900), workspace.reset)
    for change in changes:
        later.start()
        change()
        wait_for(qtbot, lambda: not later.isActive())
        direct = workspace.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
        shown = [{bar.tabText(i) for i in range(bar.count())} for bar in direct if bar.isVisible()]
        assert {"Plots", "Console", "Script", "Log", "Gradient lens"} in shown and not left_behind(direct)
        assert sum("Console" in names for names in shown) == 1, shown


def test_the_file_menu_saves_picture_and_film(window, open_studio, qtbot):
    wanted = []
    window.workspace.viewport.toolbar.picture_wanted.disconnect()
    window.workspace.viewport.toolbar.picture_wanted.connect(lambda: wanted.append("picture"))
    trigger(window, "File", "file_picture")
    assert wanted == ["picture"]
    film = next(action for action in window.menus["File"].actions() if action.objectName() == "file_film")
    assert not film.isEnabled()  # there is nothing to turn around yet


def test_layout_and_theme_are_remembered(window, open_studio, settings, qtbot):
    window.enter_studio()
    window.docks.docks["recipe"].toggleViewAction().trigger()
    window.docks.docks["capture"].hide()
    window.set_theme("light")
    window.close_without_asking()
    second = MainWindow(open_studio)
    qtbot.addWidget(second)
    second.show()
    wait_for(qtbot, lambda: second.is_ready)
    second.enter_studio()
    assert not second.dark and not second.docks.docks["capture"].isVisible()
    assert second.docks.docks["plots"].isVisible()
    second.close_without_asking()


def test_themes_differ_and_stay_readable(window, open_studio, qtbot, shoot):
    window.enter_studio()
    for name in ("dark", "light"):
        window.set_theme(name)
        qtbot.wait(50)
        palette = window.palette()
        text = palette.color(QPalette.ColorRole.WindowText).lightness()
        ground = palette.color(QPalette.ColorRole.Window).lightness()
        assert abs(text - ground) > 120 and (text > ground) == (name == "dark")
        shoot(window, f"theme_{name}")


def test_changing_the_theme_does_not_hold_the_window(window, open_studio, qtbot, watchdog):
    window.enter_studio()
    for name in window.docks.docks:
        window.docks.docks[name].raise_()
        qtbot.wait(50)
    qtbot.wait(200)
    watchdog.forgive()  # panels painted for the first time
    for name in ("dark", "light", "dark"):
        changed = []
        QTimer.singleShot(0, lambda name=name, changed=changed: changed.append(window.set_theme(name)))
        wait_for(qtbot, lambda changed=changed: changed)  # by the event loop, which is what is watched
        qtbot.wait(150)
    assert not QApplication.instance().styleSheet()


def test_an_error_is_a_sentence_with_details_and_does_not_block(window, tmp_path, qtbot, shoot):
    window.files.open_path(tmp_path)
    wait_for(qtbot, window.errors.isVisible)
    assert "holds no camera poses" in window.errors.sentence.text() and not window.errors.details.isVisible()
    click(qtbot, window.errors, "error_more")
    assert "Traceback" in window.errors.details.toPlainText() and window.errors.details.isVisible()
    click(qtbot, window.errors, "error_copy")
    assert "holds no camera poses" in QApplication.clipboard().text()
    shoot(window.errors, "error_dialog")
    window.studio.failed.emit("Another thing.", "")
    assert "Another thing." in window.errors.sentence.text()
    window.errors.close()


def test_help_lists_shortcuts_of_every_menu(window, qtbot, shoot):
    window.studio.apply_preset("quick")
    dialog = window.show_shortcuts()
    table = dialog.table
    rows = {}
    for index in range(table.topLevelItemCount()):
        group = table.topLevelItem(index)
        rows |= {group.child(i).text(0): group.child(i).text(1) for i in range(group.childCount())}
    assert rows["Pause"] == "F6" and rows["Undo"] == "Ctrl+Z" and rows["Keyboard shortcuts"] == "F1"
    shoot(dialog, "shortcuts")
    dialog.close()
    about = window.show_about()
    assert "Unrender" in about.words.text()
    shoot(about, "about")
    about.close()


def test_no_two_menu_actions_share_a_key(window):
    keys = {}
    for menu in window.menus.values():
        for action in menu.actions():
            if not action.shortcut().isEmpty():
                keys.setdefault(action.shortcut().toString(), []).append(action.objectName())
    assert all(len(names) == 1 for names in keys.values()), keys


def test_a_screenshot_is_saved(window, tmp_path, qtbot):
    window.choose = lambda parent, question, then: then(tmp_path / "picture")
    qtbot.keyClick(window, Qt.Key.Key_F12)
    wait_for(qtbot, (tmp_path / "picture.png").exists)


def test_buttons_have_names_tips_and_icons(window):
    for button in window.controls.findChildren(QToolButton):
        assert button.objectName() and button.toolTip() and not button.icon().isNull(), button.text()


@pytest.mark.slow
def test_closing_asks_while_a_run_goes_on(window, open_studio, qtbot, shoot):
    studio = open_studio
    short(studio)
    studio.run()
    wait_for(qtbot, lambda: studio.session is not None and studio.session.total_step > 3)
    window.close()
    assert window.isVisible() and window.question is not None
    qtbot.wait(50)
    shoot(window.question, "closing")
    click(qtbot, window.question, "keep_open")
    wait_for(qtbot, lambda: window.question is None)
    step = studio.session.total_step
    wait_for(qtbot, lambda: studio.session.total_step > step)
    window.close()
    project = studio.project
    click(qtbot, window.question, "save_and_close")
    wait_for(qtbot, lambda: not window.isVisible())
    assert "unrender-engine" not in own_threads()
    assert last_save(project).step > step


@pytest.mark.parametrize("half_done", [False, True])
def test_saving_is_offered_only_where_a_step_is_whole(window, qtbot, half_done):
    ends = []
    box = closing_question(window, False, half_done, ends.append)
    buttons = {button.objectName(): button for button in box.findChildren(QPushButton)}
    wanted = {"close_without_saving", "keep_open"} | (set() if half_done else {"save_and_close"})
    assert set(buttons) == wanted and ("last checkpoint" in box.informativeText()) == half_done
    buttons["close_without_saving"].click()
    assert ends == [False] and buttons["close_without_saving"].text().startswith("Close")


@pytest.mark.slow
def test_closing_without_saving_writes_no_checkpoint(window, open_studio, qtbot):
    studio = open_studio
    studio.set_option("run.checkpoint_seconds", 1000)
    short(studio)
    studio.run()
    wait_for(qtbot, lambda: studio.session is not None and studio.session.total_step > 3)
    project = studio.project
    before = sorted((project / "checkpoints").glob("*.json"))
    window.close()
    click(qtbot, window.question, "close_without_saving")
    wait_for(qtbot, lambda: not window.isVisible())
    assert sorted((project / "checkpoints").glob("*.json")) == before


def test_closing_with_nothing_open_just_closes(window, qtbot):
    window.close()
    wait_for(qtbot, lambda: not window.isVisible())


def test_a_window_whose_studio_has_ended_closes_at_once(window, studio):
    studio.close()
    assert window.close() and not window.isVisible()


def test_no_display_is_said_with_the_command_that_needs_none(tmp_path):
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    for extra in ([], ["gui"]):
        command = [sys.executable, "-m", "app", *extra]
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
        assert told.returncode == 1 and "unrender run CAPTURE --out DIR" in told.stderr and not told.stdout
    environment["DISPLAY"] = ":73"  # nobody is there: Qt itself gives up
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert told.returncode == 1 and told.stderr.startswith("error: there is no display"), told.stderr


def test_a_named_platform_counts_as_a_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert has_display()
