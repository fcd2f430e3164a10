"""The export dialog on a finished run: what it states, what it writes, and a place that cannot be written."""

from __future__ import annotations

import json
import struct
import threading
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QPushButton

from app.window.export_dialog import ExportDialog
from tests.app.window.conftest import SECONDS, wait_for
from tests.app.window.made_project import finished_project

pytestmark = pytest.mark.slow


@pytest.fixture
def dialog(qtbot, studio, tiny_capture, tmp_path):
    studio.open(finished_project(tiny_capture, tmp_path / "cup"))
    wait_for(qtbot, lambda: studio.state == "finished" and studio.snapshot is not None)
    made = ExportDialog(studio)
    qtbot.addWidget(made)
    made.open()
    wait_for(qtbot, lambda: made.scene is not None)
    return made


def click(qtbot, dialog, name, kind=QPushButton):
    widget = dialog.findChild(kind, name)
    place = QPoint(8, widget.height() // 2) if kind is QCheckBox else QPoint()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)


def say(qtbot, dialog, name, text):
    line = dialog.findChild(QLineEdit, name)
    line.selectAll()
    qtbot.keyClicks(line, text)


def test_the_dialog_states_what_one_has_to_know_and_writes_it(dialog, studio, tmp_path, qtbot, shoot, watchdog):
    facts = {topic: label.text() for topic, label in dialog.facts.items()}
    assert "+Y" in facts["Axes"] and "root node" in facts["Axes"] and "scale 1" in facts["Units"]
    assert "triangles" in facts["Faces"] and "64 x 64 texels" in facts["Textures"] and "sRGB" in facts["Colour"]
    assert dialog.sizes["glb"].text().startswith("about")
    qtbot.wait(50)
    shoot(dialog, "export_dialog")
    watchdog.forgive()
    click(qtbot, dialog, "format_obj", QCheckBox)
    click(qtbot, dialog, "format_hdr", QCheckBox)
    say(qtbot, dialog, "export_name", "cup")
    say(qtbot, dialog, "export_folder", str(tmp_path / "out"))
    with qtbot.waitSignal(dialog.exported, timeout=600_000) as exported:
        click(qtbot, dialog, "export_start")
        assert not dialog.start.isEnabled() and dialog.progress.isVisible()
    report = exported.args[0]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"cup.glb", "cup.obj", "cup.mtl", "cup_light.hdr"} <= names and names == set(report.sizes)
    assert report.psnr > 35 and "as it should be" in dialog.words.text()
    assert not dialog.thumbnail.pixmap().isNull() and not dialog.sizes["glb"].text().startswith("about")
    data = (tmp_path / "out" / "cup.glb").read_bytes()
    document = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    assert len(document["nodes"][0]["rotation"]) == 4
    assert dialog.start.isEnabled() and not studio.problems
    dialog._done(replace(report, notices=("cup.spz: left out & said",)))
    assert "left out &amp; said" in dialog.words.text()
    dialog._done(report)
    qtbot.wait(50)
    shoot(dialog, "export_dialog_done")


def test_a_place_that_cannot_be_written_gets_one_clear_sentence(dialog, tmp_path, qtbot, shoot):
    (tmp_path / "file").write_text("not a folder")
    say(qtbot, dialog, "export_folder", str(tmp_path / "file" / "out"))
    with qtbot.waitSignal(dialog.refused, timeout=600_000) as refused:
        click(qtbot, dialog, "export_start")
    assert "cannot be written" in refused.args[0] and "\n" not in refused.args[0]
    assert dialog.findChild(QLabel, "export_words").text() == refused.args[0]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("file")) == ["file"]
    qtbot.wait(50)
    shoot(dialog, "export_dialog_refused")


def test_nothing_can_be_exported_without_a_name_or_a_format_and_it_says_why(dialog, qtbot):
    def why() -> str:
        assert not dialog.start.isEnabled() and dialog.reason.isVisible()
        assert dialog.start.toolTip() == dialog.reason.text()
        return dialog.reason.text()

    assert dialog.start.isEnabled()
    click(qtbot, dialog, "format_glb", QCheckBox)
    assert "Tick" in why()
    click(qtbot, dialog, "format_ply", QCheckBox)
    assert dialog.start.isEnabled() and "check" in dialog.start.toolTip()
    say(qtbot, dialog, "export_name", "a/b")
    assert "no / or" in why()
    say(qtbot, dialog, "export_name", " ")
    assert "name" in why()
    say(qtbot, dialog, "export_name", "cup")
    say(qtbot, dialog, "export_folder", " ")
    assert "folder" in why()


def test_it_says_what_it_replaces_and_what_was_written_only_while_that_holds(dialog, studio, qtbot):
    wait_for(qtbot, lambda: "replaces asset.glb" in dialog.reason.text())  # which the run has written
    say(qtbot, dialog, "export_folder", "mine")
    assert "replaces" not in dialog.reason.text()
    say(qtbot, dialog, "export_name", "cup")
    click(qtbot, dialog, "format_glb", QCheckBox)
    click(qtbot, dialog, "format_ply", QCheckBox)
    with qtbot.waitSignal(dialog.exported, timeout=600_000):
        click(qtbot, dialog, "export_start")
    place = studio.project / "mine"
    assert (place / "cup.ply").exists() and str(place) in dialog.words.text() and dialog.folder.text() == str(place)
    wait_for(qtbot, lambda: "replaces cup.ply" in dialog.reason.text())
    assert dialog.outcome.isVisible()
    say(qtbot, dialog, "export_name", "saucer")
    assert not dialog.outcome.isVisible() and "replaces" not in dialog.reason.text()


def test_closing_cancels_what_is_being_written(dialog, tmp_path, qtbot, monkeypatch):
    from engine.exchange import asset_child

    closed, write = threading.Event(), asset_child.export_in_child

    def late(*arguments):
        closed.wait(SECONDS)  # else a quick export could be done before the click
        return write(*arguments)

    monkeypatch.setattr(asset_child, "export_in_child", late)
    say(qtbot, dialog, "export_folder", str(tmp_path / "out"))
    click(qtbot, dialog, "export_start")
    handle = dialog._handle
    with qtbot.waitSignal(dialog.refused, timeout=600_000):
        click(qtbot, dialog, "export_close")
        closed.set()
    assert handle.cancelled and not dialog.isVisible() and not (tmp_path / "out").exists()
