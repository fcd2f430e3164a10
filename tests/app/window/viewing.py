"""A viewport with a snapshot in it, and the mouse and keys that the tests of the viewport share."""

from __future__ import annotations

import time

import numpy as np
import pytest
import trimesh
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QApplication

from engine.optimize.snapshot import SceneSnapshot
from engine.scene import Mesh

TIMEOUT = 600_000  # milliseconds; kernels may have to be compiled first


def two_balls() -> Mesh:
    """The surface that the drawn capture shows, nearly."""
    first = trimesh.creation.icosphere(3, 0.6).apply_translation((0, 0, -0.15))
    second = trimesh.creation.icosphere(3, 0.38).apply_translation((0.35, 0.1, 0.4))
    both = trimesh.util.concatenate([first, second])
    return Mesh(np.asarray(both.vertices, np.float32), np.asarray(both.faces, np.int32))


def snapshot(version: int = 1) -> SceneSnapshot:
    mesh = two_balls()
    colors = np.tile(np.array([0.6, 0.25, 0.08, 0.6, 0.0], np.float32), (len(mesh.vertices), 1))
    return SceneSnapshot("shape", 10, version, mesh, colors, box=mesh.box)


def publish(studio, made: SceneSnapshot) -> None:
    """As the studio does when the session has a new snapshot."""
    studio.snapshot = made
    studio.snapshot_changed.emit(made)


@pytest.fixture
def empty_view(studio, shown):
    from app.window.viewport.viewport import Viewport

    made = shown(Viewport(studio), 700, 520)
    yield made
    made.shut_down()


@pytest.fixture
def view(qtbot, open_studio, empty_view):
    """With the tiny capture and a snapshot, drawn at full size."""
    publish(open_studio, snapshot())
    settle(qtbot, empty_view)
    return empty_view


def refined(qtbot, view, since: float) -> None:
    """Wait for a full-size picture of what was asked for after `since`."""

    def there() -> bool:
        drawn = view.model.drawn
        return drawn is not None and drawn.final and not drawn.request.moving and drawn.request.asked >= since

    qtbot.waitUntil(there, timeout=TIMEOUT)


def settle(qtbot, view) -> None:
    """Wait for a full-size picture of the present state."""
    wanted = time.perf_counter()
    view.model.ask()
    refined(qtbot, view, wanted)


def picture(view) -> np.ndarray:
    """[H,W,3] of the canvas as it is painted."""
    from app.window.viewport.record import pixels_of

    return pixels_of(view.canvas.grab().toImage()).astype(int)


def middle(view) -> QPoint:
    return view.canvas.rect().center()


def drag(qtbot, widget, start: QPoint, by: QPoint, button=Qt.MouseButton.LeftButton, steps: int = 4) -> None:
    qtbot.mousePress(widget, button, pos=start)
    for step in range(1, steps + 1):
        move(widget, start + by * step / steps, button)
    qtbot.mouseRelease(widget, button, pos=start + by)


def move(widget, place: QPoint, button=Qt.MouseButton.NoButton) -> None:
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QMouseEvent

    at = QPointF(place)
    there = widget.mapToGlobal(at)
    pressed = Qt.MouseButton.NoButton if button == Qt.MouseButton.NoButton else button
    event = QMouseEvent(
        QEvent.Type.MouseMove, at, there, Qt.MouseButton.NoButton, pressed, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(widget, event)


def roll(widget, place: QPoint, notches: int) -> None:
    at = QPointF(place)
    event = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def press(qtbot, view, name: str) -> None:
    """Click a button of a panel or of the view's toolbar, or an entry of one of its menus."""
    action = view.findChild(QAction, name)
    if action is not None:
        menu = action.parent()
        assert action.isEnabled(), name
        menu.popup(view.mapToGlobal(QPoint(0, 0)))
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())
        return
    button = view.findChild(QAbstractButton, name)
    assert button.isEnabled(), name
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def choose(qtbot, combo, data) -> None:
    """By keys, as a person without a mouse would."""
    combo.setFocus()
    index = combo.findData(data)
    for _ in range(combo.count()):
        if combo.currentIndex() == index:
            return
        qtbot.keyClick(combo, Qt.Key.Key_Down if combo.currentIndex() < index else Qt.Key.Key_Up)
    assert combo.currentIndex() == index
