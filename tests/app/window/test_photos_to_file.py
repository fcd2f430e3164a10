"""From the start page to an exported GLB with the mouse alone, in the real window."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDialog, QPushButton

from tests.app.window.conftest import wait_for


@pytest.mark.slow
def test_a_person_goes_from_photos_to_a_file_without_the_keyboard(window, studio, tiny_capture, qtbot, shoot):
    wait_for(qtbot, lambda: window.is_ready)
    window.choose = lambda parent, question, then: then(tiny_capture)

    def click(parent, name, kind=QPushButton):
        qtbot.mouseClick(parent.findChild(kind, name), Qt.MouseButton.LeftButton)

    click(window.start_page, "open_folder")
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    click(window.start_page, "start_run")
    wait_for(qtbot, lambda: studio.state in ("finished", "failed"))
    assert not studio.problems, studio.problems
    assert window.files.recent.projects()[0].folder == str(studio.project)
    menu = window.menus["File"]
    menu.popup(window.mapToGlobal(window.rect().topLeft()))
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(window.files.actions["export"]).center())
    wait_for(qtbot, lambda: window.findChild(QDialog, "export_dialog") is not None)
    dialog = window.findChild(QDialog, "export_dialog")
    wait_for(qtbot, lambda: dialog.start.isEnabled())
    assert dialog.findChild(QCheckBox, "format_glb").isChecked()
    with qtbot.waitSignal(dialog.exported, timeout=600_000) as exported:
        click(dialog, "export_start")
    report = exported.args[0]
    assert (studio.project / "exports" / "asset.glb").stat().st_size == report.sizes["asset.glb"] and report.psnr > 35
    qtbot.wait(300)
    shoot(window, "photos_to_file")
    click(dialog, "export_close")
    assert not studio.problems
