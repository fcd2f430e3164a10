"""The viewport driven by real mouse and keys: cameras, displays, and what it says when there is nothing to see."""

from __future__ import annotations

import threading
import time

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt

from app.window.viewport import canvas
from app.window.viewport.drawer import Drawer
from engine.optimize.displays import DISPLAYS
from tests.app.window.viewing import (
    TIMEOUT,
    choose,
    drag,
    middle,
    move,
    picture,
    press,
    publish,
    refined,
    roll,
    settle,
    snapshot,
)


def test_without_anything_open_it_says_what_to_do(qtbot, empty_view, shoot):
    image = picture(empty_view)
    assert image.max() > 200  # words
    shoot(empty_view, "viewport_empty")


def test_an_open_capture_shows_its_cameras_and_a_click_looks_through_one(qtbot, open_studio, empty_view, shoot):
    view, model = empty_view, empty_view.model
    shoot(view, "viewport_cameras")
    places, depth = model.shown_camera().project(model.frusta.centres)
    inside = (
        (places > 10).all(1) & (places < (view.canvas.width() - 10, view.canvas.height() - 10)).all(1) & (depth > 0)
    )
    frame = int(np.flatnonzero(inside)[np.argmin(depth[inside])])
    where = QPointF(*places[frame]).toPoint()
    move(view.canvas, where)
    qtbot.mouseClick(view.canvas, Qt.MouseButton.LeftButton, pos=where)
    assert open_studio.view_frame == frame
    qtbot.waitUntil(lambda: model.drawn is not None and model.drawn.photo is not None, timeout=TIMEOUT)
    assert model.drawn.picture is None  # before any snapshot the photo itself is shown
    blue = picture(view)[..., 2] - picture(view)[..., 0]
    assert (blue < -30).mean() > 0.05  # the balls are painted orange
    qtbot.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert open_studio.view_frame is None


def test_the_first_snapshot_is_framed_and_shown(qtbot, view, shoot):
    image = view.model.drawn.image
    assert (image.alpha > 0).mean() > 0.1
    assert image.alpha[[0, -1]].max() == 0 and image.alpha[:, [0, -1]].max() == 0
    shoot(view, "viewport_shaded")


def test_until_the_first_picture_comes_it_says_that_it_prepares_it(qtbot, open_studio, empty_view, monkeypatch, shoot):
    settle(qtbot, empty_view)
    gate, draw, said = threading.Event(), Drawer.image, []

    def late(*arguments):
        gate.wait(TIMEOUT / 1000)  # as long as kernels compile
        return draw(*arguments)

    monkeypatch.setattr(Drawer, "image", late)
    paint = canvas.paint_hint
    monkeypatch.setattr(canvas, "paint_hint", lambda *painted: (said.append(painted[-1]), paint(*painted)))
    publish(open_studio, snapshot())
    shoot(empty_view, "viewport_preparing")
    assert "Preparing the view" in said[-1]
    gate.set()
    settle(qtbot, empty_view)
    said.clear()
    picture(empty_view)
    assert not said


def test_dragging_orbits_and_the_picture_follows(qtbot, view):
    before, pose, began = picture(view), view.model.control.rotation.copy(), time.perf_counter()
    drag(qtbot, view.canvas, middle(view), QPoint(80, 30))
    assert not np.allclose(view.model.control.rotation, pose)
    refined(qtbot, view, began)
    assert np.abs(picture(view) - before).mean() > 0.5


def test_other_buttons_pan_and_the_wheel_zooms(qtbot, view):
    control = view.model.control
    pivot, distance = control.pivot.copy(), control.distance
    drag(qtbot, view.canvas, middle(view), QPoint(40, 0), Qt.MouseButton.RightButton)
    assert not np.allclose(control.pivot, pivot)
    roll(view.canvas, middle(view), 2)
    assert control.distance < distance


def test_keys_fly_frame_and_turn_to_the_axes(qtbot, view):
    control = view.model.control
    view.canvas.setFocus()
    place = control.position.copy()
    qtbot.keyPress(view.canvas, Qt.Key.Key_W)
    qtbot.waitUntil(lambda: np.linalg.norm(control.position - place) > 0.02, timeout=TIMEOUT)
    qtbot.keyRelease(view.canvas, Qt.Key.Key_W)
    stopped = control.position.copy()
    qtbot.wait(60)
    assert np.allclose(control.position, stopped)
    qtbot.keyClick(view.canvas, Qt.Key.Key_F)
    assert np.allclose(control.pivot, view.model.box.mean(0))
    qtbot.keyClick(view.canvas, Qt.Key.Key_7)
    assert np.allclose(control.rotation[:, 2], (0, 0, -1))
    qtbot.keyClick(view.canvas, Qt.Key.Key_8)
    assert np.allclose(control.rotation[:, 2], (0, 0, 1))


def test_the_views_menu_has_six_that_differ(qtbot, view):
    menu = view.toolbar.views.menu()
    seen = []
    for action in menu.actions():
        if not action.objectName().startswith("view_axis_"):
            continue
        action.trigger()
        seen.append(view.model.control.rotation[:, 2].copy())
    assert len(seen) == 6 and len({tuple(np.round(direction, 3)) for direction in seen}) == 6


def test_the_turntable_turns_until_it_is_switched_off(qtbot, view):
    rotation = view.model.control.rotation.copy()
    press(qtbot, view, "view_turntable")
    turned = lambda: not np.allclose(view.model.control.rotation, rotation, atol=1e-2)  # noqa: E731
    qtbot.waitUntil(turned, timeout=TIMEOUT)
    qtbot.keyClick(view.canvas, Qt.Key.Key_T)
    assert not view.toolbar.turning.isChecked()
    stopped = view.model.control.rotation.copy()
    qtbot.wait(80)
    assert np.allclose(view.model.control.rotation, stopped)


def test_every_display_can_be_chosen_and_looks_different(qtbot, view, shoot):
    seen = {}
    for display in DISPLAYS:
        choose(qtbot, view.toolbar.display, display)
        assert view.model.display == display
        settle(qtbot, view)
        seen[display] = picture(view)
        shoot(view, f"viewport_{display}")
    names = list(seen)
    for first, second in zip(names, names[1:], strict=False):
        assert np.abs(seen[first] - seen[second]).max() > 30, (first, second)


def test_exposure_brightens_the_picture(qtbot, view):
    before = picture(view)
    view.toolbar.exposure.stepBy(2)
    settle(qtbot, view)
    assert picture(view).mean() > before.mean()
