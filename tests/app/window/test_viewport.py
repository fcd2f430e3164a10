"""The viewport driven by real mouse and keys, on a real snapshot of a drawn capture."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import trimesh
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QToolButton

from engine.optimize.snapshot import SceneSnapshot
from engine.scene import Mesh

TIMEOUT = 30_000  # kernels may have to be compiled first


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
def empty_view(qtbot, studio):
    from app.window.viewport.viewport import Viewport

    made = Viewport(studio)
    qtbot.addWidget(made)
    made.resize(700, 520)
    made.show()
    qtbot.waitExposed(made)
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
    button = view.findChild(QToolButton, name)
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
    qtbot.waitUntil(lambda: np.linalg.norm(control.position - place) > 0.02)
    qtbot.keyRelease(view.canvas, Qt.Key.Key_W)
    stopped = control.position.copy()
    qtbot.wait(60)
    assert np.allclose(control.position, stopped)
    qtbot.keyClick(view.canvas, Qt.Key.Key_F)
    assert np.allclose(control.pivot, view.model.box.mean(0))
    qtbot.keyClick(view.canvas, Qt.Key.Key_7)
    assert np.allclose(control.rotation[:, 2], (0, 0, -1))
    qtbot.keyClick(view.canvas, Qt.Key.Key_7, Qt.KeyboardModifier.ControlModifier)
    assert np.allclose(control.rotation[:, 2], (0, 0, 1))


def test_the_views_menu_has_six_that_differ(qtbot, view):
    menu = view.toolbar.views.menu()
    seen = []
    for action in menu.actions():
        action.trigger()
        seen.append(view.model.control.rotation[:, 2].copy())
    assert len(seen) == 6 and len({tuple(np.round(direction, 3)) for direction in seen}) == 6


def test_the_turntable_turns_until_it_is_switched_off(qtbot, view):
    rotation = view.model.control.rotation.copy()
    press(qtbot, view, "view_turntable")
    qtbot.waitUntil(lambda: not np.allclose(view.model.control.rotation, rotation, atol=1e-2))
    qtbot.keyClick(view.canvas, Qt.Key.Key_T)
    assert not view.toolbar.turning.isChecked()
    stopped = view.model.control.rotation.copy()
    qtbot.wait(80)
    assert np.allclose(view.model.control.rotation, stopped)


def test_every_display_can_be_chosen_and_looks_different(qtbot, view, shoot):
    from app.window.viewport.toolbar import DISPLAY_NAMES

    seen = {}
    for display in DISPLAY_NAMES:
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


@pytest.mark.parametrize("compare", ["side", "wipe", "blink", "difference", "flip"])
def test_comparing_with_the_photo(qtbot, view, open_studio, compare, shoot):
    choose(qtbot, view.toolbar.compare, compare)
    assert open_studio.view_frame is not None  # it took the nearest photo
    settle(qtbot, view)
    if compare in ("difference", "flip"):
        qtbot.waitUntil(lambda: view.model.drawn.error is not None, timeout=TIMEOUT)
        assert 0 < view.model.drawn.error_values.mean() < 0.5
        assert "Mean error" in view.readout.text()
    else:
        assert view.model.drawn.photo is not None
    if compare == "side":
        assert len(view.model.areas()) == 2
    if compare == "blink":
        before = picture(view)
        qtbot.waitUntil(lambda: np.abs(picture(view) - before).max() > 20, timeout=5000)
    if compare == "wipe":
        area = view.model.areas()[0]
        line = QPointF(area.center().x(), area.center().y()).toPoint()
        drag(qtbot, view.canvas, line, QPoint(60, 0))
        assert view.canvas.divider > 0.55
        assert open_studio.view_frame is not None  # the divider moved, not the camera
    shoot(view, f"viewport_compare_{compare}")


def test_a_magnified_photo_can_be_moved(qtbot, view, open_studio):
    open_studio.look_through(2)
    roll(view.canvas, middle(view), 4)
    assert view.model.window.magnification > 1.5
    assert open_studio.view_frame == 2
    x = view.model.window.rectangle(view.model.photo_camera)[0]
    drag(qtbot, view.canvas, middle(view), QPoint(30, 0), Qt.MouseButton.RightButton)
    assert view.model.window.rectangle(view.model.photo_camera)[0] < x
    settle(qtbot, view)
    choose(qtbot, view.toolbar.compare, "difference")
    settle(qtbot, view)
    assert view.model.drawn.error_values.mean() < 0.5


def test_next_and_previous_photo(qtbot, view, open_studio):
    press(qtbot, view, "view_next_photo")
    assert open_studio.view_frame == 0
    press(qtbot, view, "view_next_photo")
    assert open_studio.view_frame == 1
    qtbot.keyClick(view.canvas, Qt.Key.Key_BracketLeft)
    assert open_studio.view_frame == 0
    assert view.toolbar.photo.currentText() == open_studio.capture.frames[0].name
    choose(qtbot, view.toolbar.photo, None)
    assert open_studio.view_frame is None


def test_leaving_a_photo_by_orbiting_starts_where_it_stands(qtbot, view, open_studio):
    open_studio.look_through(3)
    settle(qtbot, view)
    drag(qtbot, view.canvas, middle(view), QPoint(6, 0), steps=1)
    assert open_studio.view_frame is None
    camera = open_studio.capture.frames[3].camera
    assert np.linalg.norm(view.model.control.position - camera.position) < 0.2 * np.linalg.norm(camera.position)


def test_the_readout_tells_the_pixel(qtbot, view, open_studio):
    open_studio.look_through(1)
    choose(qtbot, view.toolbar.compare, "difference")
    settle(qtbot, view)
    move(view.canvas, middle(view))
    text = view.readout.text()
    for word in ("Photo pixel 2", "Render", "Photo", "Error", "Depth", "Base colour 0.60 0.25 0.08", "Roughness 0.60"):
        assert word in text
    move(view.canvas, QPoint(1, 1))
    assert "Roughness" not in view.readout.text()


def test_the_region_is_dragged_and_set_on_release(qtbot, view, open_studio, shoot):
    press(qtbot, view, "view_region")
    settle(qtbot, view)
    shoot(view, "viewport_region")
    region, before = view.canvas.region, view.canvas.region.box.copy()
    camera = view.model.shown_camera()
    places = {face: camera.project(region.middle_of(*face)[None])[0][0] for face in region.FACES}
    face = next(f for f in region.FACES if region.at(camera, *places[f]) == f)
    start = QPointF(*places[face]).toPoint()
    outward = QPointF(*(places[face] - camera.project(before.mean(0)[None])[0][0])).toPoint()
    heard = []
    open_studio.region_changed.connect(heard.append)
    drag(qtbot, view.canvas, start, outward * 0.5)
    assert open_studio.region is not None and len(heard) == 1
    changed = np.argwhere(~np.isclose(open_studio.region, before))
    assert changed.tolist() == [list(face)]
    assert (open_studio.region[face] - before[face]) * (1 if face[0] else -1) > 0  # it grew
    open_studio.undo_stack.undo()
    assert open_studio.region is None


def test_photos_are_scored_when_nothing_else_is_to_do(qtbot, view, open_studio):
    qtbot.waitUntil(lambda: len(open_studio.scores) == len(open_studio.capture.frames), timeout=TIMEOUT)
    assert all(5 < score < 60 for score in open_studio.scores.values())
    publish(open_studio, snapshot(2))
    open_studio.set_scores({})
    qtbot.waitUntil(lambda: len(open_studio.scores) == len(open_studio.capture.frames), timeout=TIMEOUT)


def test_moving_is_drawn_small_where_full_size_takes_long(qtbot, view, monkeypatch):
    from engine.optimize import preview

    draw = preview.PreviewRenderer.image

    def slow(self, camera, *rest, **more):
        time.sleep(0.3 * camera.width * camera.height / (700 * 480))
        return draw(self, camera, *rest, **more)

    monkeypatch.setattr(preview.PreviewRenderer, "image", slow)
    sizes = []
    view.model.pictured.connect(lambda: sizes.append(view.model.drawn.camera.width))
    for step in range(40):
        view.model.orbit(2, 0)
        qtbot.wait(15)
        if sizes and step > 20:
            assert sizes[-1] < 0.7 * view.canvas.width()
    qtbot.waitUntil(lambda: view.model.drawn.final, timeout=TIMEOUT)
    assert view.model.drawn.camera.width == view.canvas.width()


def test_a_snapshot_that_cannot_be_drawn_is_said_and_the_next_one_shown(qtbot, view, open_studio):
    mesh = two_balls()
    broken = SceneSnapshot("shape", 11, 2, mesh, np.zeros((3, 5), np.float32), box=mesh.box)
    publish(open_studio, broken)
    qtbot.waitUntil(lambda: bool(view.model.drawn.problem), timeout=TIMEOUT)
    picture(view)
    publish(open_studio, snapshot(3))
    qtbot.waitUntil(lambda: not view.model.drawn.problem, timeout=TIMEOUT)


def test_a_screenshot_and_a_film_are_written(qtbot, view, open_studio, tmp_path):
    import imageio_ffmpeg

    from app.window.viewport.record import save_screenshot, save_turntable

    written = []
    save_screenshot(view, tmp_path / "view.png", written.append)
    qtbot.waitUntil(lambda: len(written) == 1, timeout=TIMEOUT)
    from PySide6.QtGui import QImage

    assert QImage(str(tmp_path / "view.png")).width() == view.canvas.width()
    save_turntable(view, tmp_path / "turn.mp4", 0.5, (96, 64), written.append)
    qtbot.waitUntil(lambda: len(written) == 2, timeout=TIMEOUT)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "turn.mp4"))[0] == 15
    assert not open_studio.problems


def test_the_save_menu_asks_where_to(qtbot, view, open_studio, tmp_path):
    view.choose = lambda parent, question, then: then(tmp_path / "shown")
    heard = []
    open_studio.message_received.connect(lambda message: heard.append(message.text))
    picture_action, film_action = view.toolbar.save.menu().actions()
    assert film_action.isEnabled()
    picture_action.trigger()
    qtbot.waitUntil(lambda: any("shown.png" in text for text in heard), timeout=TIMEOUT)
    assert (tmp_path / "shown.png").exists()
    film_action.trigger()
    qtbot.wait(200)
    open_studio.cancel_background()


def test_a_cancelled_film_leaves_nothing(qtbot, view, open_studio, tmp_path):
    from app.window.viewport.record import save_turntable

    ended = []
    open_studio.busy_changed.connect(lambda label, done: ended.append(label))
    save_turntable(view, tmp_path / "turn.mp4", 60, (320, 240))
    qtbot.waitUntil(lambda: any("picture 3" in label for label in ended), timeout=TIMEOUT)
    open_studio.cancel_background()
    qtbot.waitUntil(lambda: ended[-1] == "", timeout=TIMEOUT)
    assert not list(tmp_path.glob("*turn*")) and not open_studio.problems


def test_closing_the_capture_empties_the_view(qtbot, view, open_studio):
    open_studio.close_all()
    qtbot.wait(100)
    assert view.model.drawn is None
    assert picture(view).max() > 200


def test_the_event_loop_is_never_held(qtbot, view, open_studio, watchdog):
    watchdog.forgive()
    for step in range(15):
        drag(qtbot, view.canvas, middle(view), QPoint(20, 5))
        qtbot.wait(20)
        publish(open_studio, snapshot(step + 5))
    open_studio.look_through(1)
    view.model.set_compare("flip")
    qtbot.wait(1500)


def test_importing_the_view_loads_no_torch():
    code = "import app.window.viewport.viewport, sys; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
