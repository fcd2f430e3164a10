"""The log keeps what was said, filters and copies it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QLineEdit, QPushButton

from app.window.log_panel import ROWS, LogPanel
from engine.optimize.messages import EvalReport, Failed, StageChanged


@pytest.fixture
def log(studio, qtbot):
    made = LogPanel(studio)
    qtbot.addWidget(made)
    made.resize(800, 220)
    made.show()
    studio.notice("resumed at step 7")
    studio.notice("the masks look inverted", "warning")
    studio.failed.emit("The disk is full.", "Traceback ...")
    studio.message_received.emit(StageChanged("hull", 0, 7, "begin"))
    studio.message_received.emit(EvalReport({"psnr": 31.234, "faces": 1200}))
    studio.message_received.emit(Failed("volume failed"))
    return made


def test_everything_is_listed_in_order(log, shoot):
    lines = [line.split("\t")[1:] for line in log.lines()]
    assert lines[0] == ["Note", "resumed at step 7"] and lines[1] == ["Warning", "the masks look inverted"]
    assert lines[2][0] == "Error" and lines[2][1] == "The disk is full.\nTraceback ..."
    assert lines[3][1] == "Stage hull (1 of 7) begins"
    assert lines[4][1] == "Result measured: 31.23 dB on the test photos, 1,200 faces"
    shoot(log, "log")


def test_search_and_level_filter(log, qtbot):
    qtbot.keyClicks(log.findChild(QLineEdit, "log_search"), "MASKS")
    assert len(log.lines()) == 1
    log.findChild(QLineEdit, "log_search").clear()
    level = log.findChild(QComboBox, "log_level")
    qtbot.keyClick(level, Qt.Key.Key_Down)
    assert len(log.lines()) == 3
    qtbot.keyClick(level, Qt.Key.Key_Down)
    assert len(log.lines()) == 2


def test_copy_and_clear(log, qtbot):
    qtbot.mouseClick(log.findChild(QPushButton, "log_copy"), Qt.MouseButton.LeftButton)
    assert "The disk is full." in QGuiApplication.clipboard().text()
    qtbot.mouseClick(log.findChild(QPushButton, "log_clear"), Qt.MouseButton.LeftButton)
    assert log.lines() == []


def test_a_flood_stays_bounded(log):
    for index in range(ROWS + 10):
        log.add("info", f"line {index}")
    assert log.model.rowCount() <= ROWS and log.lines()[-1].endswith(f"line {ROWS + 9}")
