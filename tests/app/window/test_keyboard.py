"""The window without a mouse: keys that mean one thing each, Tab through every panel, a name for every control."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMenu,
    QMenuBar,
    QToolButton,
    QWidget,
)

from app.window.viewport.camera_control import AXIS_VIEWS
from app.window.viewport.canvas import AXIS_KEYS
from tests.app.window.conftest import wait_for
from tests.app.window.made_run import whole_run
from tests.app.window.viewing import publish, snapshot

WINDOW = Qt.ShortcutContext.WindowShortcut, Qt.ShortcutContext.ApplicationShortcut


def shortcuts(window: QWidget) -> list[tuple[str, Qt.ShortcutContext, QWidget | None, str]]:
    """(keys, context, owner, name) of all that listens to keys."""
    found = []
    for action in window.findChildren(QAction):
        for keys in action.shortcuts():
            found.append((keys.toString(), action.shortcutContext(), action.parent(), action.objectName()))
    for shortcut in window.findChildren(QShortcut):
        for keys in shortcut.keys():
            found.append((keys.toString(), shortcut.context(), shortcut.parent(), shortcut.whatsThis()))
    return found


def overlap(one: tuple, other: tuple) -> bool:
    """Whether both would hear a key."""
    if one[0] != other[0]:
        return False
    if one[1] in WINDOW or other[1] in WINDOW:
        return True
    return one[2] is other[2] or one[2].isAncestorOf(other[2]) or other[2].isAncestorOf(one[2])


def keyed(menu: QMenu) -> dict[str, QKeySequence]:
    """The keys that a menu of the view lists, by the entry's name."""
    texts = {action.objectName(): action.text() for action in menu.actions() if "\t" in action.text()}
    return {name: QKeySequence(text.split("\t")[1]) for name, text in texts.items()}


@pytest.fixture
def inside(window, open_studio, qtbot):
    """The window with photos open and a surface in its view."""
    window.enter_studio()
    publish(open_studio, snapshot())
    wait_for(qtbot, lambda: window.workspace.viewport.model.box is not None)
    return window


def test_no_key_means_two_things(window):
    listening = shortcuts(window)
    assert len(listening) > 25
    twice = [
        (one[3], other[3], one[0])
        for place, one in enumerate(listening)
        for other in listening[:place]
        if overlap(one, other)
    ]
    assert not twice
    heard = {QKeySequence(keys) for keys, context, *_ in listening if context in WINDOW}
    assert not heard & set(keyed(window.workspace.viewport.toolbar.views.menu()).values())


def test_the_keys_that_the_views_list_turn_the_camera_and_nothing_else(inside, qtbot):
    viewport, docks = inside.workspace.viewport, inside.docks.docks
    control, canvas = viewport.model.control, viewport.canvas
    before = {name: dock.isHidden() for name, dock in docks.items()}
    listed, seen = keyed(viewport.toolbar.views.menu()), []
    assert {f"view_axis_{view}" for view in AXIS_VIEWS} <= set(listed)
    for view in AXIS_VIEWS:
        viewport.model.axis_view(view)
        wanted = control.rotation.copy()
        viewport.model.axis_view("top" if view != "top" else "front")
        canvas.setFocus()
        assert QApplication.focusWidget() is canvas
        key = listed[f"view_axis_{view}"][0]
        qtbot.keyClick(canvas, key.key(), key.keyboardModifiers())
        assert np.allclose(control.rotation, wanted), view
        seen.append(wanted)
    assert len(np.unique(np.round(seen, 6), axis=0)) == 6
    assert {name: dock.isHidden() for name, dock in docks.items()} == before


def test_the_windows_keys_leave_the_camera_alone(inside, qtbot):
    viewport = inside.workspace.viewport
    viewport.canvas.setFocus()
    rotation = viewport.model.control.rotation.copy()
    for key in AXIS_KEYS:
        for _ in range(2):
            qtbot.keyClick(viewport.canvas, key, Qt.KeyboardModifier.ControlModifier)
            viewport.canvas.setFocus()
    assert np.array_equal(viewport.model.control.rotation, rotation)


def tabbed(qtbot, window, presses: int) -> list[QWidget]:
    """What has the focus after each press of Tab."""
    found = []
    for _ in range(presses):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        found.append(QApplication.focusWidget())
    return found


def test_tab_goes_on_from_the_buttons_of_the_plots_to_their_curves_and_on(inside, qtbot):
    panel = inside.docks.panel("plots")
    inside.docks.docks["plots"].raise_()
    panel.take_reports(whole_run())
    wait_for(qtbot, lambda: panel.tree.isVisible() and panel.view.shown)
    panel.export.setFocus(Qt.FocusReason.TabFocusReason)
    passed = tabbed(qtbot, inside, 6)
    assert panel.tree in passed
    assert any(not panel.isAncestorOf(widget) for widget in passed)  # and out of the panel again


def named(widget: QWidget, buddies: set[QWidget]) -> bool:
    """Whether a screen reader can say what a control is, not only which value it has."""
    if widget.accessibleName() or widget in buddies:
        return True
    if isinstance(widget, QLabel):
        return True  # its text is what it says
    return isinstance(widget, QAbstractButton) and any(letter.isalpha() for letter in widget.text())


def controls(window: QWidget) -> list[QWidget]:
    """All that can have the focus, without the parts that Qt's own controls are made of."""
    found = []
    for widget in window.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or widget.focusProxy() is not None:
            continue
        parts = QComboBox, QAbstractSpinBox, QLineEdit, QMenuBar
        parent, part = widget.parentWidget(), isinstance(widget, QMenu | QMenuBar)
        while parent is not None and not part:
            part = isinstance(parent, parts) or (isinstance(widget, QToolButton) and "Tab" in type(parent).__name__)
            parent = parent.parentWidget()
        if not part:
            found.append(widget)
    return found


def test_every_control_has_a_name(inside, qtbot):
    for dock in inside.docks.docks.values():  # some panels are made whole only once they are seen
        dock.raise_()
        QApplication.processEvents()
    inside.docks.panel("recipe").show_section("refine")
    wait_for(qtbot, lambda: inside.docks.panel("recipe").built)
    wait_for(qtbot, lambda: inside.docks.panel("console").console is not None)
    found = controls(inside)
    assert len(found) > 60
    buddies = {label.buddy() for label in inside.findChildren(QLabel)}
    nameless = {
        f"{type(widget).__name__} {widget.objectName()} in {widget.parentWidget().objectName()}"
        for widget in found
        if not named(widget, buddies)
    }
    assert not nameless, "\n".join(sorted(nameless))
    switch = next(widget for widget in found if widget.objectName() == "field_refine.geometry")
    assert switch.accessibleName() == "Refine › Geometry"  # and not "on"
