"""The viewport against the photos: comparisons, readout, region, scores, films and pictures."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QStyle, QStyleOptionComboBox

from app.window.viewport import photo_scores, view_thread
from app.window.viewport.compare import COMPARES
from app.window.viewport.readout import GAP, LONGEST, SIDE, Readout, folded
from engine.optimize.snapshot import SceneSnapshot
from tests.app.window.conftest import wait_for
from tests.app.window.viewing import (
    TIMEOUT,
    choose,
    drag,
    middle,
    move,
    picture,
    press,
    publish,
    roll,
    settle,
    snapshot,
    two_balls,
)


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
        qtbot.waitUntil(lambda: np.abs(picture(view) - before).max() > 20, timeout=TIMEOUT)
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


@pytest.mark.parametrize("width", [900, 500, 330])
def test_the_readout_has_room_for_the_longest_it_says(qtbot, view, shown, width):
    label = shown(Readout(view.model), width, 20)
    lines = folded(LONGEST, width - 2 * SIDE, label.fontMetrics()).split("\n")
    wait_for(qtbot, lambda: label.height() >= len(lines) * label.fontMetrics().lineSpacing())
    assert all(label.fontMetrics().horizontalAdvance(line) <= width - 2 * SIDE for line in lines)
    assert GAP.join(lines) == LONGEST


def test_every_comparison_can_be_read_in_its_box(view):
    box = view.toolbar.compare
    style = QStyleOptionComboBox()
    box.initStyleOption(style)
    room = box.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, style, QStyle.SubControl.SC_ComboBoxEditField, box
    )
    for text in COMPARES.values():
        assert box.fontMetrics().horizontalAdvance(text) <= room.width(), text


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
    means = []
    open_studio.test_measured.connect(lambda step, psnr: means.append((step, psnr)))
    publish(open_studio, snapshot(2))
    open_studio.set_scores({})
    qtbot.waitUntil(lambda: len(open_studio.scores) == len(open_studio.capture.frames), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: bool(means), timeout=TIMEOUT)
    assert means == [(10, pytest.approx(np.mean([open_studio.scores[frame] for frame in open_studio.capture.test])))]


def test_no_photo_is_measured_while_the_view_moves(qtbot, view, open_studio, monkeypatch):
    qtbot.waitUntil(lambda: len(open_studio.scores) == len(open_studio.capture.frames), timeout=TIMEOUT)
    view.model.set_draw_with("processor")  # nothing is drawn anew when a photo was scored
    settle(qtbot, view)
    heard = []
    view.scoring.measured.connect(lambda *found: heard.append(found))
    with monkeypatch.context() as held:
        held.setattr(view_thread, "STILL_SECONDS", 1e6)  # it moves, however long a picture takes
        held.setattr(photo_scores, "MOVED_SECONDS", 1e6)
        held.setattr(photo_scores, "LONGEST_WAIT", 1e6)
        publish(open_studio, snapshot(2))
        view.scoring._timer.stop()  # until a picture of the moving view has come
        view.model.orbit(1, 0)
        request = lambda: view.model.drawn.request  # noqa: E731
        qtbot.waitUntil(lambda: request().moving and request().snapshot is open_studio.snapshot, timeout=TIMEOUT)
        for _ in range(3):
            view.scoring._offer()
            assert not view.scoring._busy
            qtbot.wait(20)
        assert not heard
        held.setattr(photo_scores, "LONGEST_WAIT", 0.0)
        view.scoring._timer.start()
        qtbot.waitUntil(lambda: bool(heard), timeout=TIMEOUT)  # all the same, after a while
    settle(qtbot, view)
    every = set(range(len(open_studio.capture.frames)))
    qtbot.waitUntil(lambda: {frame for _, found in heard for frame in found} == every, timeout=TIMEOUT)


def test_new_snapshots_are_drawn_soon_even_where_drawing_takes_long():
    from app.window.viewport.view_thread import LONGEST_REST, PATIENT_SECONDS, Pace

    pace = Pace()
    pace.measured(1.0, 6.0)
    assert pace.within(PATIENT_SECONDS) ** 2 * 6.0 == pytest.approx(PATIENT_SECONDS)
    assert LONGEST_REST <= 5


def test_moving_is_drawn_small_where_full_size_takes_long(qtbot, view, monkeypatch):
    from engine.optimize import preview

    view.model.set_draw_with("processor")
    settle(qtbot, view)
    draw = preview.PreviewRenderer.image

    def slow(self, camera, *rest, **more):
        time.sleep(0.3 * camera.width * camera.height / (700 * 480))
        return draw(self, camera, *rest, **more)

    monkeypatch.setattr(preview.PreviewRenderer, "image", slow)
    with monkeypatch.context() as held:
        held.setattr(view_thread, "STILL_SECONDS", 1e6)  # it moves, however long a picture takes
        for number in range(5):
            since = time.perf_counter()
            view.model.orbit(2, 0)
            qtbot.waitUntil(lambda since=since: view.model.drawn.request.asked >= since, timeout=TIMEOUT)
            assert view.model.drawn.request.moving
            if number:  # the first shows how long it takes
                assert view.model.drawn.camera.width < 0.7 * view.canvas.width()
    view.model.orbit(2, 0)
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
    qtbot.waitUntil(lambda: any("picture " in label for label in ended), timeout=TIMEOUT)
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


def test_a_closed_run_leaves_neither_snapshot_nor_photos_behind(qtbot, view, open_studio):
    choose(qtbot, view.toolbar.compare, "flip")
    qtbot.waitUntil(lambda: view.model.drawn.error is not None, timeout=TIMEOUT)
    qtbot.waitUntil(lambda: len(open_studio.scores) == len(open_studio.capture.frames), timeout=TIMEOUT)
    seen, photos = weakref.ref(open_studio.snapshot), weakref.ref(open_studio.capture)
    publish(open_studio, None)  # a new run with the same photos
    qtbot.waitUntil(lambda: gc.collect() >= 0 and seen() is None, timeout=TIMEOUT)
    assert view.model.drawn.photo is not None  # is shown in its place
    open_studio.close_all()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and photos() is None, timeout=TIMEOUT)
