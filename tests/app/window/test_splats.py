"""Splats in the window: displays, numbers, comparison, a run that is watched and edited, files in and out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QPushButton, QRadioButton

from app.window.curves import SIZE, SPLATS
from app.window.export_dialog import ExportDialog
from app.window.plots_panel import PlotsPanel
from app.window.start_page import StartPage
from app.window.viewport import view_thread
from app.window.viewport.compare import unignored
from app.window.viewport.toolbar import DISPLAY_NAMES
from engine.exchange.splats import read_splats, write_splats
from engine.optimize.displays import SPLAT_DISPLAYS
from engine.optimize.messages import Notice
from engine.optimize.options import set_option
from engine.optimize.snapshot import SceneSnapshot, SplatLook
from engine.scene import Gaussians
from engine.scene.gaussians import CONSTANT
from tests.app.window.conftest import wait_for
from tests.app.window.drawn_capture import BALLS, draw_capture
from tests.app.window.viewing import choose, drag, middle, move, picture, press, publish, settle

SHORT = {
    "splats.steps": 40,
    "splats.start": 300,
    "splats.budget": 500,
    "splats.degree": 1,
    "splats.degree_steps": 10,
    "run.evaluate": False,
    "run.checkpoint_seconds": 1000,
}


def balls(count: int = 1500, degree: int = 1) -> Gaussians:
    """Splats on the two balls of the drawn capture, orange from one side and blue from the other."""
    random = np.random.default_rng(2)
    parts = []
    for centre, radius in BALLS:
        away = random.normal(size=(count // 2, 3))
        parts.append(centre + radius * away / np.linalg.norm(away, axis=1, keepdims=True))
    means = np.concatenate(parts).astype(np.float32)
    harmonics = np.zeros((count, (degree + 1) ** 2, 3), np.float32)
    harmonics[:, 0] = (np.array([0.85, 0.5, 0.25]) * random.uniform(0.6, 1, (count, 1)) - 0.5) / CONSTANT
    harmonics[:, 1:] = random.normal(0, 0.15, (count, harmonics.shape[1] - 1, 3))
    scales = np.log(random.uniform(0.02, 0.09, (count, 3))).astype(np.float32)
    turns = random.normal(size=(count, 4)).astype(np.float32)
    logits = random.normal(2, 1, count).astype(np.float32)
    return Gaussians(means, turns, scales, logits, harmonics)


def snapshot(version: int = 1, background=(0.0, 0.0, 0.0), splats: Gaussians | None = None) -> SceneSnapshot:
    splats = splats or balls()
    scores = np.linspace(0, 1, len(splats), dtype=np.float32)
    look = SplatLook(background)
    return SceneSnapshot("splats", 10, version, gaussians=splats, splat_look=look, splat_scores=scores)


@pytest.fixture(scope="session")
def bare_capture(tmp_path_factory) -> Path:
    """The drawn photos without masks; never to be changed."""
    folder = draw_capture(tmp_path_factory.mktemp("bare") / "balls")
    for photo in folder.glob("*.png"):
        cv2.imwrite(str(photo), cv2.imread(str(photo)))
    return folder


@pytest.fixture(scope="session")
def compiled() -> None:
    """The kernels that views of splats need, which may take longer to compile than a test waits."""
    from engine.optimize.preview import PreviewRenderer
    from engine.scene.camera import look_at

    camera = look_at(np.array([0.0, -4, 0]), np.zeros(3), np.array([0.0, 0, 1]), 20.0, 16, 16)
    for display in SPLAT_DISPLAYS:
        PreviewRenderer(snapshot()).image(camera, display)


@pytest.fixture
def bare(compiled, studio, qtbot, bare_capture):
    """A studio with photos that have no masks."""
    studio.open(bare_capture)
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    return studio


@pytest.fixture
def scene(qtbot, bare, empty_view):
    """A view of splats over black, as of photos without masks."""
    publish(bare, snapshot())
    settle(qtbot, empty_view)
    return empty_view


def said(studio) -> list[str]:
    texts: list[str] = []
    studio.message_received.connect(lambda m: texts.append(m.text) if isinstance(m, Notice) else None)
    return texts


def test_every_display_of_splats_can_be_chosen_and_looks_different(qtbot, scene, shoot):
    seen = {}
    for display in SPLAT_DISPLAYS:
        choose(qtbot, scene.toolbar.display, display)
        settle(qtbot, scene)
        seen[display] = picture(scene)
        shoot(scene, f"splats_{display}")
    names = list(seen)
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            assert np.abs(seen[first] - seen[second]).max() > 30, (first, second)


def test_what_splats_cannot_show_is_greyed_and_says_why(qtbot, scene):
    combo = scene.toolbar.display
    rows = {combo.itemData(row): combo.model().item(row) for row in range(combo.count())}
    assert list(rows) == list(DISPLAY_NAMES)
    assert {name for name, item in rows.items() if item.isEnabled()} == set(SPLAT_DISPLAYS)
    assert "Splats have no such thing; Shaded is shown" in rows["roughness"].toolTip()
    assert "Outlines is shown" in rows["wireframe"].toolTip()
    scene.model.set_display("metallic")
    settle(qtbot, scene)
    assert scene.model.drawn.image is not None and not scene.model.drawn.problem
    from tests.app.window.viewing import snapshot as surface

    publish(scene.model.studio, surface(2))
    assert rows["roughness"].isEnabled() and not rows["density"].isEnabled()
    assert "Only splats have this" in rows["density"].toolTip()


def test_a_whole_scene_is_first_seen_from_where_a_photo_was_taken(scene, bare):
    camera = bare.capture.frames[bare.capture.train[0]].camera
    assert np.allclose(scene.model.control.position, camera.position, atol=1e-6)
    assert np.allclose(scene.model.box, balls().most_box)


def test_the_readout_tells_colour_depth_and_how_many(qtbot, scene):
    assert "1,500 splats" in scene.readout.text() and "MB" in scene.readout.text()
    image = scene.model.drawn.image
    row, column = np.argwhere(np.isfinite(image.depth))[100]
    scale = image.depth.shape[1] / scene.canvas.width()
    move(scene.canvas, QPoint(int((column + 0.5) / scale), int((row + 0.5) / scale)))
    assert "Render" in scene.readout.text() and "Depth" in scene.readout.text()


def test_moving_is_drawn_small_and_standing_still_in_full(qtbot, scene, monkeypatch):
    monkeypatch.setattr(view_thread.Pace, "sizes", lambda _, moving: [0.5] if moving else [1.0])  # however quick it is
    model, width = scene.model, scene.canvas.width()
    model.set_draw_with("processor")  # nothing is drawn anew when a photo was scored
    settle(qtbot, scene)
    with monkeypatch.context() as held:
        held.setattr(view_thread, "STILL_SECONDS", 1e6)
        drag(qtbot, scene.canvas, middle(scene), QPoint(60, 20))
        wait_for(qtbot, lambda: model.drawn.request.moving)
        assert model.drawn.camera.width == round(width / 2) and not model.drawn.final
    drag(qtbot, scene.canvas, middle(scene), QPoint(20, 0))
    wait_for(qtbot, lambda: model.drawn.final)  # it is drawn in full without being asked
    assert model.drawn.camera.width == width and not model.drawn.request.moving


def test_photos_without_masks_are_compared_over_the_trained_background(qtbot, scene, bare, shoot):
    bare.look_through(0)
    scene.model.set_compare("difference")
    settle(qtbot, scene)
    error = scene.model.drawn.error_values
    assert error[0, 0] < 0.02 < error.max()  # black on black
    shoot(scene, "splats_difference")
    wait_for(qtbot, lambda: 0 in bare.scores)
    assert bare.scores[0] > 12


def test_what_masks_tell_to_ignore_shows_no_error(qtbot, compiled, open_studio, empty_view):
    open_studio.look_through(0)
    empty_view.model.set_compare("difference")
    outside = []
    for version, ignoring in enumerate((False, True), 1):
        look = SplatLook((0.0, 0.0, 1.0), ignoring=ignoring)
        publish(open_studio, replace(snapshot(version), splat_look=look))
        settle(qtbot, empty_view)
        outside.append(empty_view.model.drawn.error_values[:3, :3].max())  # far from the balls
    assert outside[0] > 0.9 and outside[1] == 0
    assert empty_view.model.drawn.error_values.max() > 0.1, "the balls are compared"


def test_photos_are_opaque_where_they_are_compared_and_the_render_elsewhere():
    photo = np.uint8([[[10, 20, 30, 100], [96, 48, 0, 192], [7, 8, 9, 255]]])
    render = np.full((1, 3, 4), 255, np.uint8)
    assert unignored(photo, render).tolist() == [[[255] * 4, [128, 64, 0, 255], [7, 8, 9, 255]]]


def test_the_box_selects_and_the_menu_deletes_with_undo(qtbot, window, bare, shoot):
    view, model, actions = window.workspace.viewport, window.workspace.viewport.model, window.menus["Edit"]
    inside, outside = (actions.findChild(QAction, f"edit_delete_{where}") for where in ("inside", "outside"))
    bare.close_all()
    bare.show_splats(balls())  # of a file: there is no run
    assert window.stack.currentWidget() is window.workspace and not inside.isEnabled()
    settle(qtbot, view)
    assert view.toolbar.switches["region_shown"].text() == "Selection box"
    press(qtbot, view, "view_region")
    assert np.allclose(bare.selection, model.box) and inside.isEnabled() and outside.isEnabled()
    before = bare.snapshot.gaussians
    camera, region = model.shown_camera(), view.canvas.region
    face = next(f for f in region.FACES if region.at(camera, *camera.project(region.middle_of(*f)[None])[0][0]) == f)
    place = camera.project(region.middle_of(*face)[None])[0][0]
    toward = camera.project(region.box.mean(0)[None])[0][0] - place
    drag(qtbot, view.canvas, QPoint(*place.astype(int)), QPoint(*(0.6 * toward).astype(int)))
    gone = before.in_box(bare.selection)
    assert 0 < gone.sum() < len(before) and f"{gone.sum():,} in the box" in view.readout._summary()
    shoot(window, "splats_selected")
    qtbot.keyClick(window, Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(bare.snapshot.gaussians.means, before.means[~gone])
    settle(qtbot, view)
    shoot(window, "splats_deleted")
    bare.undo_stack.undo()
    assert bare.snapshot.gaussians is before
    bare.undo_stack.redo()
    texts = said(bare)
    inside.trigger()  # there is nothing left in it
    assert "There are no splats inside the box" in texts[-1]
    press(qtbot, view, "view_region")
    assert bare.selection is None and not inside.isEnabled()


def test_a_file_is_imported_looked_at_and_exported_without_photos(qtbot, window, studio, tmp_path, shoot):
    splats = balls(300)
    splats.means[7] = np.nan
    write = splats.select(np.arange(len(splats)) != 7)
    write_splats(tmp_path / "balls.ply", write)
    texts = said(studio)
    window.files.open_path(tmp_path / "balls.ply")
    wait_for(qtbot, lambda: studio.snapshot is not None)
    assert studio.state == "empty" and len(studio.snapshot.gaussians) == 299 and "299 splats" in texts[-1]
    assert studio.snapshot.splat_look.background is None
    view = window.workspace.viewport
    settle(qtbot, view)
    assert view.model.drawn.image.alpha.max() > 0.9 and view.toolbar.views.isEnabled()
    assert np.allclose(view.model.control.up, (0, -1, 0))
    shoot(window, "splats_imported")
    dialog = window.files.export()
    wait_for(qtbot, lambda: dialog.scene is not None)
    assert "299 Gaussians" in dialog.facts["Splats"].text() and set(dialog.formats) == {"ply", "spz", "html"}
    assert all(label.text().startswith("about") for label in dialog.sizes.values())
    for kind in ("spz", "html"):
        box = dialog.findChild(QCheckBox, f"format_{kind}")
        qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    line = dialog.findChild(QLineEdit, "export_folder")
    line.setText(str(tmp_path / "out"))
    with qtbot.waitSignal(dialog.exported, timeout=600_000) as exported:
        qtbot.mouseClick(dialog.findChild(QPushButton, "export_start"), Qt.MouseButton.LeftButton)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".ply", ".spz", ".html"}
    assert exported.args[0].psnr > 60 and "as it should be" in dialog.words.text()
    assert np.array_equal(read_splats(next((tmp_path / "out").glob("*.ply"))).means, write.means)
    qtbot.wait(20)
    shoot(dialog, "splats_export")
    dialog.reject()


def test_bad_files_are_refused_with_a_sentence_and_notices_come_through(qtbot, window, studio, tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float f_dc_0\nend_header\n0 0\n"
    (tmp_path / "half.ply").write_text(header)
    window.files.open_path(tmp_path / "half.ply")
    wait_for(qtbot, lambda: studio.problems)
    assert "lacks the properties" in studio.problems[0][0] and studio.snapshot is None
    splats = balls(20)
    path = tmp_path / "broken.ply"
    write_splats(path, splats)
    data = bytearray(path.read_bytes())
    data[-4:] = np.float32(np.nan).tobytes()
    path.write_bytes(bytes(data))
    texts = said(studio)
    window.files.take_splats(path)
    wait_for(qtbot, lambda: studio.snapshot is not None)
    assert any("1 of 20 splats have values that are not finite" in text for text in texts)
    assert len(studio.snapshot.gaussians) == 19


def test_splats_imported_beside_photos_start_the_next_run(qtbot, window, bare, tmp_path):
    write_splats(tmp_path / "start.spz", balls(200))
    window.files.open_path(tmp_path / "start.spz")
    wait_for(qtbot, lambda: bare.snapshot is not None)
    assert bare.recipe.name == "scene" and bare.recipe.splats.start_file == str(tmp_path / "start.spz")
    assert bare.snapshot.splat_look.background == (0.0, 0.0, 0.0)
    assert window.start_page.findChild(QLabel, "refined_mesh").text() == "start.spz"


def test_photos_without_masks_suggest_splats(qtbot, studio, bare_capture, tiny_capture, shown, shoot):
    page = shown(StartPage(studio), 1100, 760)
    button = page.findChild(QRadioButton, "recipe_scene")
    assert studio.recipe.name == "object" and not button.isChecked()
    studio.open(bare_capture)
    wait_for(qtbot, lambda: studio.state == "ready")
    assert studio.recipe.name == "scene" and button.isChecked()
    assert "no masks" in page.findChild(QLabel, "masks_hint").text()
    wait_for(qtbot, lambda: studio.doctor is not None)
    qtbot.wait(50)
    shoot(page, "start_page_splats")
    qtbot.mouseClick(
        page.findChild(QRadioButton, "recipe_object"), Qt.MouseButton.LeftButton, pos=QPoint(12, button.height() // 2)
    )
    assert studio.recipe.name == "object" and "needs" in page.findChild(QLabel, "masks_hint").text()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton, pos=QPoint(12, button.height() // 2))
    qtbot.mouseClick(
        page.findChild(QRadioButton, "goal_quick"), Qt.MouseButton.LeftButton, pos=QPoint(12, button.height() // 2)
    )
    assert studio.recipe.name == "scene" and studio.recipe.splats.budget == 30_000
    studio.open(tiny_capture)
    wait_for(qtbot, lambda: studio.state == "ready" and studio.capture is not None)
    assert studio.recipe.name == "object"


def test_a_run_is_watched_edited_and_exported(qtbot, window, bare, tmp_path, shoot):
    for key, value in SHORT.items():
        set_option(bare.recipe, key, value)
    view, texts = window.workspace.viewport, said(bare)
    assert bare.recipe.name == "scene"
    bare.run_until(20)
    wait_for(qtbot, lambda: bare.state == "paused" and bare.snapshot is not None and bare.snapshot.shows_splats)
    settle(qtbot, view)
    press(qtbot, view, "view_region")
    bare.set_selection(np.array([[-9.0, -9, -9], [9, 9, 0]]))
    before = len(bare.snapshot.gaussians)
    gone = int(bare.snapshot.gaussians.in_box(bare.selection).sum())
    assert 0 < gone < before
    window.menus["Edit"].findChild(QAction, "edit_delete_inside").trigger()
    wait_for(qtbot, lambda: len(bare.snapshot.gaussians) == before - gone)
    wait_for(qtbot, lambda: any(f"{gone} splats deleted" in text for text in texts))
    bare.undo_stack.undo()
    wait_for(qtbot, lambda: len(bare.snapshot.gaussians) == before)
    bare.undo_stack.redo()
    wait_for(qtbot, lambda: len(bare.snapshot.gaussians) == before - gone)
    kinds = ["delete_inside", "restore", "delete_inside"]
    wait_for(qtbot, lambda: [entry.kind for entry in bare.session.project.history if entry.by_user] == kinds)
    bare.undo_stack.undo()
    wait_for(qtbot, lambda: len(bare.snapshot.gaussians) == before)
    press(qtbot, view, "view_region")
    bare.run()
    wait_for(qtbot, lambda: bare.state == "finished")
    plots = window.findChild(PlotsPanel)
    curves = plots.run.curves
    counts, budget = curves[(SPLATS, "splats")].points(), curves[(SPLATS, "budget")].points()
    assert (budget[:, 2] == 500).all() and counts[:, 2].max() <= 500 and counts[:, 2].min() <= before
    assert (SIZE, "megabytes") in curves and ("Loss", "splats") not in curves
    assert {"means", "logits"} <= {name for group, name in curves if group == "Learning rate"}
    window.workspace.docks.docks["plots"].raise_()
    wait_for(qtbot, lambda: plots.isVisible() and plots.drawings)
    settle(qtbot, view)
    plots.redraw()
    shoot(window, "splats_window")
    dialog = ExportDialog(bare, window)
    wait_for(qtbot, lambda: dialog.scene is not None)
    assert "Gaussians" in dialog.facts["Splats"].text()
    dialog.reject()
