"""The light panel on a real session: another light is looked at, never optimized; turning, saving, bad files."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from app.window import light_maps
from app.window.light_panel import OWN, LightPanel
from engine.exchange.hdr import read_environment, read_hdr, write_hdr
from engine.scene import Environment
from engine.scene.environment import direction_of_texel
from tests.app.window.conftest import wait_for
from tests.app.window.viewing import press


@pytest.fixture
def panel(open_studio, shown):
    return shown(LightPanel(open_studio), 360, 460)


def begun(qtbot, studio, until: int = 45) -> None:
    """Run into the stage that has a light."""
    studio.run_until(until)
    wait_for(qtbot, lambda: studio.state in ("paused", "finished", "failed"))
    assert studio.state == "paused", studio.problems


def test_it_says_that_there_is_no_light_yet(panel, shoot):
    assert panel.picture.pixmap is None and "No light yet" in panel.picture.text
    assert not panel.save.isEnabled() and not panel.back.isEnabled()
    shoot(panel, "light_panel_empty")


def test_every_bundled_light_can_be_chosen(panel):
    offered = [panel.source.itemText(index) for index in range(panel.source.count())]
    assert offered == [OWN, "Studio", "Clear noon", "Low sun", "Overcast"]


def test_another_light_is_shown_and_training_goes_on_with_its_own(panel, open_studio, qtbot, shoot, watchdog):
    begun(qtbot, open_studio)
    wait_for(qtbot, lambda: panel.picture.pixmap is not None)
    own = open_studio.snapshot.environment
    watchdog.forgive()
    panel.source.setFocus()
    qtbot.keyClick(panel.source, Qt.Key.Key_Down)
    wait_for(qtbot, lambda: open_studio.relight is not None)
    assert panel.source.currentText() == "Studio" and "×" in panel.facts.text()
    shoot(panel, "light_panel_studio")
    before = open_studio.session.total_step
    open_studio.run_until(before + 3)
    wait_for(qtbot, lambda: open_studio.session.total_step == before + 3)
    wait_for(qtbot, lambda: open_studio.snapshot.total_step == before + 3)
    assert open_studio.snapshot.environment.radiance.shape == own.radiance.shape  # not the studio's
    press(qtbot, panel, "light_back")
    wait_for(qtbot, lambda: open_studio.relight is None)
    assert panel.source.currentText() == OWN and not panel.back.isEnabled()


def test_dragging_turns_the_light_about_the_up_axis(panel, open_studio, qtbot, shoot):
    begun(qtbot, open_studio)
    wait_for(qtbot, lambda: panel.picture.pixmap is not None)
    frame = panel.picture.frame
    start = QPoint(int(frame.center().x()), int(frame.center().y()))
    end = start - QPoint(int(frame.width() / 4), 0)
    qtbot.mousePress(panel.picture, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(panel.picture, end)
    qtbot.mouseRelease(panel.picture, Qt.MouseButton.LeftButton, pos=end)
    assert abs(panel.turn.value() - 90) <= 2
    wait_for(qtbot, lambda: open_studio.relight is not None)
    up = np.asarray(open_studio.capture.up, float)
    own = open_studio.snapshot.environment.world_from_environment
    rotation = open_studio.relight.world_from_environment @ own.T
    assert np.allclose(rotation @ up, up, atol=1e-6)
    assert np.isclose(np.degrees(np.arccos((np.trace(rotation) - 1) / 2)), panel.turn.value(), atol=1e-3)
    qtbot.keyClick(panel.exposure, Qt.Key.Key_Right)
    wait_for(qtbot, lambda: np.isclose(open_studio.relight.radiance.sum() / _own(open_studio).sum(), 2**0.1))
    shoot(panel, "light_panel_turned")


def _own(studio) -> np.ndarray:
    return studio.snapshot.environment.radiance


def test_a_file_is_opened_and_saved_as_it_is_turned(panel, open_studio, qtbot, tmp_path):
    lamp = np.exp((direction_of_texel(32, 64) @ np.array([0.0, 0.0, -1.0]) - 1) * 30)  # straight ahead
    write_hdr(tmp_path / "lamp.hdr", (0.1 + 4 * lamp[..., None]).repeat(3, -1).astype(np.float32))
    panel._ask = lambda parent, question, then: then(tmp_path / "lamp.hdr")
    press(qtbot, panel, "light_open")
    wait_for(qtbot, lambda: panel.picture.pixmap is not None)
    panel.turn.setValue(90)
    wait_for(qtbot, lambda: panel.picture.degrees == 90)
    panel._ask = lambda parent, question, then: then(tmp_path / "turned")
    press(qtbot, panel, "light_save")
    wait_for(qtbot, lambda: (tmp_path / "turned.hdr").exists())
    column = read_hdr(tmp_path / "turned.hdr").sum((0, 2)).argmax()
    assert abs(column - 16) <= 1  # a quarter to the left of the middle
    reopened = read_environment(tmp_path / "turned.hdr", open_studio.capture.up)
    assert reopened.radiance.shape == (32, 64, 3)


def test_a_file_that_is_no_light_is_refused_in_words(panel, open_studio, qtbot, tmp_path):
    (tmp_path / "broken.hdr").write_text("not a picture")
    panel.open_file(tmp_path / "broken.hdr")
    wait_for(qtbot, lambda: open_studio.problems)
    assert "broken.hdr" in open_studio.problems[0][0]
    assert panel.source.currentText() == OWN and panel.source.findText("broken.hdr") < 0
    assert open_studio.relight is None


def test_the_picture_of_a_light_is_never_all_white():
    radiance = np.full((16, 32, 3), 1.0, np.float32)
    radiance[4, 5] = (800.0, 400.0, 100.0)
    picture = light_maps.light_picture(Environment(radiance), 0.0)
    assert picture.rgb[4, 5, 0] > picture.rgb[4, 5, 2] and picture.rgb[8, 8].max() < 255
    assert picture.size == (16, 32) and picture.brightest == 800.0
