"""The gradient lens in the window: what it says before there is a surface, picking by clicks, maps, agreement."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStyle, QStyleOptionComboBox

from app.window.lens_choices import ALONG, place_of, shading_remark
from app.window.lens_panel import LensPanel
from app.window.lens_pictures import diverging, moved_part
from app.window.theme import apply_theme
from engine.optimize.recipe import load_recipe
from engine.optimize.snapshot import SceneSnapshot
from engine.scene import Environment, Material, Mesh
from tests.app.window.conftest import wait_for
from tests.app.window.viewing import publish, settle, two_balls

SAMPLES = 12


def textured(version: int = 1) -> SceneSnapshot:
    """Two balls a little too large, with a texture and a light."""
    mesh, side = two_balls(), 32
    uvs = (mesh.vertices[:, :2] * 0.4 + 0.5).clip(0.02, 0.98).astype(np.float32)
    mesh = Mesh((mesh.vertices * 1.03).astype(np.float32), mesh.triangles, uvs, mesh.triangles)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    base = np.stack([0.4 + 0.3 * x, 0.3 + 0.2 * y, 0.2 + 0 * x], -1)
    packed = np.stack([1 + 0 * x, 0.6 + 0 * x, 0 * x], -1)
    light = Environment(np.full((16, 32, 3), 0.7, np.float32), np.eye(3))
    return SceneSnapshot("refine", 10, version, mesh, None, Material(base, packed, None), light, box=mesh.box)


@pytest.fixture
def panel(open_studio, shown):
    return shown(LensPanel(open_studio), 1000, 200)


def done(panel, qtbot) -> None:
    wait_for(qtbot, lambda: panel._work is None)
    assert not panel._studio.problems


def test_without_a_surface_it_says_what_to_do(panel, shoot):
    assert panel.waiting.isVisible() and "Press Run" in panel.waiting.text()
    assert not panel.look.isVisible()
    shoot(panel, "lens_panel_waiting")


def test_no_choice_is_cut(panel, open_studio, qtbot):
    publish(open_studio, textured())
    wait_for(qtbot, panel.along.isVisible)
    option = QStyleOptionComboBox()
    panel.along.initStyleOption(option)
    kind, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
    room = panel.along.style().subControlRect(kind, option, part, panel.along).width()
    for choices in ALONG.values():
        assert all(panel.along.fontMetrics().horizontalAdvance(text) + 4 <= room for text, _ in choices)


def test_a_click_in_the_view_shows_the_vertex_by_three_engines(view, panel, open_studio, qtbot, qapp, shoot):
    publish(open_studio, textured())
    settle(qtbot, view)
    panel.samples.setValue(SAMPLES)
    qtbot.mouseClick(panel.pick, Qt.MouseButton.LeftButton)
    assert open_studio.picking and view.canvas.cursor().shape() == Qt.CursorShape.CrossCursor
    frame = open_studio.view_frame
    centre = view.canvas.rect().center()
    qtbot.mouseClick(view.canvas, Qt.MouseButton.LeftButton, pos=centre)
    assert panel.place is not None and open_studio.view_frame == frame  # no camera was taken for it
    camera = view.model.shown_camera()
    place = camera.project(open_studio.mark[None].astype(float))[0][0]
    assert np.hypot(*(place - (centre.x(), centre.y()))) < 60  # a corner of the triangle under the cursor
    done(panel, qtbot)
    lens = panel.maps.lens
    assert set(lens.maps) == {"analytic", "stochastic", "differences"} and lens.samples == SAMPLES
    # triangles are hardly larger than pixels here; how exact the engines are is tested in tests/engine
    assert lens.maps["analytic"].any() and lens.cosine("analytic", "differences") > 0.4
    assert "with differences" in panel.facts.text()
    shoot(view, "lens_picked")
    panel.hide()
    assert not open_studio.picking and view.canvas.cursor().shape() == Qt.CursorShape.ArrowCursor
    panel.show()
    for theme in ("light", "dark"):
        apply_theme(qapp, theme)
        qtbot.wait(1)
        shoot(panel, f"lens_panel_{theme}")


def test_a_texel_is_where_the_click_was(view, panel, open_studio, qtbot):
    publish(open_studio, textured())
    settle(qtbot, view)
    panel.samples.setValue(SAMPLES)
    centre = view.canvas.rect().center()
    picked = view.model.picked(centre.x(), centre.y())
    assert place_of(picked).texel is not None
    mesh = picked.snapshot.mesh
    point = np.array(picked.weights) @ mesh.vertices[mesh.triangles[picked.triangle]]
    seen = view.model.shown_camera().project(point[None].astype(float))[0][0]
    np.testing.assert_allclose(seen, (centre.x(), centre.y()), atol=2.5)
    panel.kind.setCurrentIndex(panel.kind.findData("base_color"))
    panel._kind_changed()
    open_studio.set_picking(True)
    qtbot.mouseClick(view.canvas, Qt.MouseButton.LeftButton, pos=centre)
    assert panel.chosen.text().endswith("of 32 × 32")
    done(panel, qtbot)
    assert panel.maps.lens.parameter.map == "base_color"


def test_the_light_is_chosen_on_its_map_and_work_can_be_cancelled(panel, open_studio, qtbot, shoot):
    publish(open_studio, textured())
    panel.kind.setCurrentIndex(panel.kind.findData("light"))
    panel._kind_changed()
    panel.samples.setValue(4096)
    at = panel.light.place_of(20, 5).toPoint()
    qtbot.mouseClick(panel.light, Qt.MouseButton.LeftButton, pos=at)
    assert panel.light.texel == (20, 5)
    assert panel.cancel.isVisible() and not panel.look.isEnabled()
    qtbot.mouseClick(panel.cancel, Qt.MouseButton.LeftButton)
    assert panel.look.isEnabled() and not panel.cancel.isVisible()
    panel.samples.setValue(SAMPLES)
    qtbot.mouseClick(panel.look, Qt.MouseButton.LeftButton)
    done(panel, qtbot)
    assert (panel.maps.lens.parameter.x, panel.maps.lens.parameter.y) == (20, 5)
    shoot(panel, "lens_panel_map_of_light")


def test_another_topology_needs_another_pick(view, panel, open_studio, qtbot):
    publish(open_studio, textured())
    settle(qtbot, view)
    panel.samples.setValue(SAMPLES)
    open_studio.set_picking(True)
    qtbot.mouseClick(view.canvas, Qt.MouseButton.LeftButton, pos=view.canvas.rect().center())
    done(panel, qtbot)
    small = textured(2)
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    publish(open_studio, SceneSnapshot("shape", 11, 3, Mesh(corners, np.array([[0, 1, 2]], np.int32))))
    assert panel.place is None and open_studio.mark is None and not panel.look.isEnabled()
    publish(open_studio, small)
    assert panel.chosen.text() == "Nothing picked yet."


def test_it_says_that_it_does_not_draw_with_a_shading_of_the_recipe():
    remarks = [shading_remark(load_recipe(name, told)) for name, told in (("object", []), ("toon", []))]
    assert remarks == ["", "\nThe lens draws with the engine's own shading, not with toon."]
    assert "not with mine.wgsl." in shading_remark(load_recipe("toon", ["shading.file=some/where/mine.wgsl"]))
    assert shading_remark(load_recipe("subdivision", ["shading.name=pbr"])) == ""


def test_the_colours_are_symmetric_and_the_part_shown_holds_what_moves():
    colors = diverging(np.array([[-1.0, 0.0, 1.0, 5.0]]), 1.0)[0]
    assert colors[0][2] > colors[0][0] and (colors[1] == 247).all() and colors[2][0] > colors[2][2]
    np.testing.assert_array_equal(colors[2], colors[3])
    values = np.zeros((40, 60), np.float32)
    values[11, 31] = -2.0
    x0, y0, x1, y1 = moved_part({"analytic": values, "differences": values})
    assert x0 <= 31 < x1 and y0 <= 11 < y1 and x1 - x0 <= 12 and y1 - y0 <= 12
