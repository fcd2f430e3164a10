"""Opening photos without poses: nothing is asked, progress is shown, it can be cancelled, and then it is a capture."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton

from app.window.start_page import StartPage
from engine.capture.reconstruction import Posed, PoseReport
from engine.errors import Cancelled
from tests.app.window.conftest import SECONDS, wait_for


@pytest.fixture
def page(studio, shown):
    return shown(StartPage(studio, files=None), 1100, 760)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(np.full((90, 120, 3), 40 * number, np.uint8)).save(folder / f"{number}.jpg")
    return folder


def test_bare_photos_open_as_a_capture(page, studio, photos, tiny_capture, qtbot, monkeypatch, watchdog, shoot):
    go_on = threading.Event()

    def find_poses(path, progress, cancelled, keep_pixels):
        assert path == photos and not cancelled() and not keep_pixels
        progress(0.5, "placing photo 2 of 4")
        go_on.wait(SECONDS)
        return Posed(tiny_capture, PoseReport(4, 4, 0.5, 100), False)

    monkeypatch.setattr("engine.capture.reconstruction.find_poses", find_poses)
    page.files.open_path(photos / "1.jpg")
    advice = page.findChild(QLabel, "run_advice")
    wait_for(qtbot, lambda: advice.text() == "Finding the camera poses: placing photo 2 of 4")
    watchdog.forgive()  # a first capture loads libraries, which holds the interpreter
    assert page.progress.value() == 500 and page.findChild(QPushButton, "cancel_opening").isVisible()
    shoot(page, "start_page_posing")
    go_on.set()
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    watchdog.forgive()
    assert studio.capture.path == tiny_capture and not page.findChild(QPushButton, "cancel_opening").isVisible()


def test_finding_poses_can_be_cancelled(page, studio, photos, qtbot, monkeypatch, watchdog):
    heard, failed = [], []

    def find_poses(path, progress, cancelled, keep_pixels):
        progress(0.1, "finding details")
        heard.append("begun")
        while not cancelled():
            threading.Event().wait(0.01)
        raise Cancelled("cancelled")

    monkeypatch.setattr("engine.capture.reconstruction.find_poses", find_poses)
    studio.failed.connect(lambda *told: failed.append(told))
    page.files.open_path(photos)
    wait_for(qtbot, lambda: heard)
    watchdog.forgive()
    qtbot.mouseClick(page.findChild(QPushButton, "cancel_opening"), Qt.MouseButton.LeftButton)
    wait_for(qtbot, lambda: studio.state == "empty" and page.doctor.report is not None)
    assert not failed and "there are no camera poses" in page.doctor.text()
    assert "4 photos of 120 x 90 pixels" in page.findChild(QLabel, "doctor_facts").text()
