"""The material panel: when textures will be there, thumbnails, a texture at full size with its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QPushButton

from app.window.material_maps import texture_image
from app.window.material_panel import MaterialPanel
from engine.optimize.snapshot import SceneSnapshot
from engine.scene import Material, Mesh
from tests.app.window.conftest import wait_for
from tests.app.window.viewing import move, publish


def material(side: int = 64) -> Material:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    base = np.stack([x, y, 0.2 + 0 * x], -1)
    packed = np.stack([1 - 0.5 * x, 0.2 + 0.6 * y, (x > 0.5).astype(np.float32)], -1)
    normal = np.stack([0.3 * np.sin(20 * x), 0.3 * np.cos(20 * y), 0.9 + 0 * x], -1)
    return Material(base, packed, (normal / np.linalg.norm(normal, axis=-1, keepdims=True)).astype(np.float32))


def snapshot(made: Material, version: int = 1) -> SceneSnapshot:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    mesh = Mesh(corners, np.array([[0, 1, 2]], np.int32), corners[:, :2], np.array([[0, 1, 2]], np.int32))
    return SceneSnapshot("refine", version, version, mesh=mesh, material=made)


@pytest.fixture
def panel(open_studio, shown):
    return shown(MaterialPanel(open_studio), 360, 560)


def pictures(panel) -> int:
    return sum(not button.icon().isNull() for button in panel.buttons.values())


def test_before_there_are_textures_it_says_when(panel, shoot):
    assert "Press Run" in panel.waiting.text() and "stage mesh" in panel.waiting.text()
    assert panel.waiting.isVisible()
    shoot(panel, "material_panel_waiting")


def test_thumbnails_follow_the_newest_textures(panel, open_studio, qtbot, shoot, watchdog):
    watchdog.forgive()
    publish(open_studio, snapshot(material(256)))
    wait_for(qtbot, lambda: pictures(panel) == 5)
    assert panel.buttons["roughness"].text() == "Roughness\n256 × 256"
    shoot(panel, "material_panel")
    first = panel.buttons["metallic"].icon().cacheKey()
    publish(open_studio, snapshot(material(128), 2))
    wait_for(qtbot, lambda: panel.buttons["metallic"].icon().cacheKey() != first)
    publish(open_studio, snapshot(replace(material(128), normal=None), 3))
    wait_for(qtbot, lambda: not panel.buttons["normal"].isVisible())


def test_a_click_opens_the_texture_with_zoom_channels_and_numbers(panel, open_studio, qtbot, shoot):
    publish(open_studio, snapshot(material(64)))
    wait_for(qtbot, lambda: pictures(panel) == 5)
    qtbot.mouseClick(panel.buttons["base_color"], Qt.MouseButton.LeftButton)
    view = panel.views["base_color"]
    wait_for(qtbot, lambda: view.shown is not None and view.isVisible())
    canvas = view.canvas
    place = canvas.offset + QPointF(10.5, 40.5) * canvas.scale
    move(canvas, place)
    assert view.values.text() == "(10, 40)   R 0.156  G 0.625  B 0.200"
    qtbot.mouseClick(view.findChild(QPushButton, "texture_actual"), Qt.MouseButton.LeftButton)
    assert canvas.scale == 1.0 and view.zoom.text() == "100 %"
    before = canvas.offset
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    move(canvas, QPointF(130, 110))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(130, 110))
    assert canvas.offset - before == QPointF(30, 10)
    qtbot.mouseClick(view.findChild(QPushButton, "texture_fit"), Qt.MouseButton.LeftButton)
    view.channel.setFocus()
    for _ in range(2):
        qtbot.keyClick(view.channel, Qt.Key.Key_Down)
    wait_for(qtbot, lambda: np.ptp(view.shown.rgb, axis=2).max() == 0)
    shoot(view, "texture_view")
    view.close()
    wait_for(qtbot, lambda: "base_color" not in panel.views)


def test_scalar_maps_have_no_channels_and_normals_keep_their_sign(panel, open_studio, qtbot):
    publish(open_studio, snapshot(material(64)))
    panel.open("roughness")
    view = panel.views["roughness"]
    wait_for(qtbot, lambda: view.shown is not None)
    assert not view.channel.isVisible()
    assert "0.200" in view.shown.text_at(0, 0)
    assert "+" in texture_image(material(8), "normal").text_at(3, 3)
    assert texture_image(material(8), "normal").text_at(8, 0) == ""


@pytest.mark.slow
def test_textures_of_a_real_run_appear(panel, open_studio, qtbot, shoot):
    open_studio.run()
    wait_for(qtbot, lambda: pictures(panel) == 5)
    wait_for(qtbot, lambda: open_studio.state in ("finished", "failed"))
    assert open_studio.state == "finished"
    shoot(panel, "material_panel_run")
