"""The capture panel on real photos: thumbnails, order, looking through, leaving out, the loss's view, the doctor."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QCheckBox, QColorDialog, QComboBox, QMenu, QPushButton, QTabWidget

from app.window.capture_panel import CapturePanel
from app.window.findings import plain_background
from app.window.photo_list import AGE, BROKEN, FRAME, PhotoDelegate
from app.window.thumbnails import Thumbnails, loss_image
from tests.app.window.conftest import wait_for
from tests.app.window.drawn_capture import draw_capture


@pytest.fixture
def panel(qtbot, open_studio, shown):
    made = shown(CapturePanel(open_studio), 380, 800)
    wait_for(qtbot, lambda: len(made.thumbnails) >= 8)
    return made


def centre(panel, frame) -> QPoint:
    return panel.list.visualRect(panel.index_of(frame)).center()


def check_box(panel, frame) -> QPoint:
    return PhotoDelegate.check_box(panel.list.visualRect(panel.index_of(frame))).center()


def order(panel) -> list[int]:
    return [panel.sorted.index(row, 0).data(FRAME) for row in range(panel.sorted.rowCount())]


def click(qtbot, panel, place, **more):
    qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place, **more)


def test_a_click_looks_through_the_photo_and_a_button_ends_it(panel, open_studio, qtbot, watchdog, shoot):
    watchdog.forgive()
    click(qtbot, panel, centre(panel, 3))
    assert open_studio.view_frame == 3
    assert panel.list.currentIndex().data(FRAME) == 3
    shoot(panel, "capture_panel")
    qtbot.mouseClick(panel.findChild(QPushButton, "free_camera"), Qt.MouseButton.LeftButton)
    assert open_studio.view_frame is None and not panel.list.selectionModel().hasSelection()


def test_photos_are_sorted_by_error_and_split(panel, open_studio, qtbot, shoot):
    assert order(panel) == list(range(10))
    scores = {frame: 20.0 + (7 * frame) % 10 for frame in range(9)}
    open_studio.set_scores(scores)
    box = panel.findChild(QComboBox, "photo_order")
    qtbot.keyClick(box, Qt.Key.Key_Down)  # error
    assert order(panel)[:9] == sorted(scores, key=scores.get) and order(panel)[9] == 9
    scores[5] = 3.0
    open_studio.set_scores(scores)
    assert order(panel)[0] == 5
    shoot(panel, "capture_panel_errors")
    qtbot.keyClick(box, Qt.Key.Key_Down)  # split
    test = open_studio.capture.test
    assert order(panel)[-len(test) :] == test
    qtbot.keyClick(box, Qt.Key.Key_Up)
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert order(panel) == list(range(10))


def test_an_old_score_is_marked_as_old(panel, open_studio, shoot):
    from tests.app.window.viewing import publish, snapshot

    publish(open_studio, replace(snapshot(), total_step=400))
    open_studio.set_scores({0: 20.0, 1: 21.0}, {0: 390, 1: 100})
    fresh, old = (panel.index_of(frame) for frame in (0, 1))
    assert "steps ago" not in fresh.data(Qt.ItemDataRole.ToolTipRole) and fresh.data(AGE) == 10
    assert "300 steps ago" in old.data(Qt.ItemDataRole.ToolTipRole)
    shoot(panel, "capture_panel_old_scores")


def test_check_box_space_bar_and_menu_leave_photos_out(panel, open_studio, qtbot, shoot):
    train = open_studio.capture.train
    first, second, third = train[:3]
    click(qtbot, panel, check_box(panel, first))
    assert open_studio.excluded == {first} and open_studio.view_frame is None
    click(qtbot, panel, centre(panel, second))
    qtbot.keyClick(panel.list, Qt.Key.Key_Space)
    assert open_studio.excluded == {first, second}
    panel.list.customContextMenuRequested.emit(centre(panel, third))
    menu = panel.findChild(QMenu, "photo_menu")
    assert [action.text() for action in menu.actions()][:2] == ["Look through this photo", "Leave this photo out"]
    menu.actions()[1].trigger()
    menu.close()
    assert open_studio.excluded == {first, second, third} and "3 left out" in panel.counts.text()
    shoot(panel, "capture_panel_left_out")
    open_studio.undo_stack.undo()
    click(qtbot, panel, check_box(panel, first))
    assert open_studio.excluded == {second}
    test = open_studio.capture.test[0]
    click(qtbot, panel, check_box(panel, test))  # has no check box: it is only looked through
    assert open_studio.excluded == {second} and open_studio.view_frame == test


def test_the_loss_sees_the_masked_photo_at_the_stages_size(panel, open_studio, qtbot, shoot):
    open_studio.put_option("volume.image_size", 32)
    click(qtbot, panel, centre(panel, 0))
    box = panel.findChild(QCheckBox, "photo_masked")
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    wait_for(qtbot, lambda: "32 x 32" in panel.picture.caption.text())
    assert "volume" in panel.picture.caption.text() and panel.stage_size == ("volume", 32)
    seen = loss_image(open_studio.capture, 0, 32)
    assert seen.shape == (32, 32, 3) and seen[0, 0, 0] > seen[0, 0, 1]  # pink where there is no object
    wait_for(qtbot, lambda: all(panel.thumbnails.picture(frame, 32) is not None for frame in range(9)))
    shoot(panel, "capture_panel_masked")


def test_thumbnails_are_bounded_and_start_over_with_another_capture(open_studio, qtbot):
    kept = Thumbnails(open_studio, kept=4)
    kept.set_capture(open_studio.capture)
    for frame in range(10):
        wait_for(qtbot, lambda frame=frame: kept.picture(frame) is not None)
    assert len(kept) == 4
    kept.set_capture(None)
    assert len(kept) == 0 and kept.picture(0) is None


def test_a_deleted_photo_is_said_and_nothing_breaks(qtbot, studio, tmp_path, shoot):
    folder = draw_capture(tmp_path / "gone")
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    (folder / "photo_02.png").unlink()
    panel = CapturePanel(studio)
    qtbot.addWidget(panel)
    panel.resize(380, 500)
    panel.show()
    wait_for(qtbot, lambda: panel.index_of(2).data(BROKEN))
    shoot(panel, "capture_panel_deleted")
    studio.look_through(2)
    panel.masked.setChecked(True)
    wait_for(qtbot, lambda: "cannot be read" in panel.picture.caption.text())


def test_photos_without_masks_are_mended_by_a_button(qtbot, studio, tmp_path, shoot):
    folder = draw_capture(tmp_path / "plain")
    for path in folder.glob("*.png"):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32)
        alpha = image[..., 3:] / 255
        cv2.imwrite(str(path), (image[..., :3] * alpha + np.array([40, 200, 60]) * (1 - alpha)).astype(np.uint8))
    assert plain_background(sorted(folder.glob("*.png"))) == (60, 200, 40)
    studio.open(folder)
    wait_for(qtbot, lambda: studio.doctor is not None)
    panel = CapturePanel(studio)
    qtbot.addWidget(panel)
    panel.resize(380, 600)
    panel.show()
    panel.findChild(QTabWidget).setCurrentIndex(1)
    wait_for(qtbot, lambda: panel.findChild(QPushButton, "remedy_found_color") is not None)
    button = panel.findChild(QPushButton, "remedy_found_color")
    assert "60, 200, 40" in button.text()
    qtbot.wait(50)
    shoot(panel, "doctor_without_masks")
    qtbot.mouseClick(panel.findChild(QPushButton, "remedy_color"), Qt.MouseButton.LeftButton)
    dialog = panel.findChild(QColorDialog)
    assert dialog.isVisible()
    dialog.reject()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: studio.capture.has_masks and studio.doctor is not None)
    assert studio.recipe.capture.color_key == (60.0, 200.0, 40.0)
    wait_for(qtbot, lambda: "colour key" in panel.doctor.text())
    up = panel.findChild(QComboBox, "up_axis")
    qtbot.keyClick(up, Qt.Key.Key_Down)
    wait_for(qtbot, lambda: studio.capture.up_source == "capture.up")
    QApplication.processEvents()


@pytest.mark.slow
def test_photos_are_left_out_during_a_run(panel, open_studio, qtbot):
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    studio.run_until(3)
    wait_for(qtbot, lambda: studio.state == "paused")
    frame = studio.capture.train[2]
    click(qtbot, panel, check_box(panel, frame))
    wait_for(qtbot, lambda: studio.session.context.views.excluded == {frame})
    wait_for(qtbot, lambda: studio.excluded == {frame})
    assert not panel.doctor.findChild(QComboBox, "up_axis").isEnabled()
