"""Run controls by clicks: what can be pressed when, what the bars say, checkpoints to go back to."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from app.window.icons import icon, names
from app.window.run_controls import Pace, RunControls
from engine.optimize.messages import Progress, StepReport
from tests.app.window.conftest import wait_for

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def controls(studio, shown):
    return shown(RunControls(studio), 1300, 44)


def enabled(controls):
    return {name for name, button in controls.buttons.items() if button.isEnabled()}


def report(step, seconds, total=100):
    return StepReport("volume", step, total, step, total, 0.1, {}, 20.0, seconds)


def test_nothing_can_be_pressed_before_photos_are_open(controls):
    assert enabled(controls) == set()


@pytest.mark.parametrize("name", names())
def test_no_icon_is_empty(qapp, name):
    image = icon(name).pixmap(24, 24).toImage().convertToFormat(QImage.Format.Format_ARGB32)
    drawn = sum(image.pixelColor(x, y).alpha() > 100 for x in range(24) for y in range(24))
    assert drawn > 30


def test_the_time_left_follows_the_pace():
    pace = Pace()
    assert pace.update(report(1, 10.0)) is None
    assert pace.update(report(2, 10.5)) == pytest.approx(49.0)
    assert pace.update(report(1, 11.0)) is None  # reverted


def test_bars_and_text_follow_the_messages(controls, open_studio, qtbot):
    open_studio._set_state("running")
    open_studio.message_received.emit(Progress("photos", 0.25, "photo 1 of 4"))
    assert controls.stage_bar.text() == "Reading the photos: photo 1 of 4" and controls.stage_bar.value() == 250
    open_studio.steps_reported.emit([report(1, 1.0), report(50, 25.5)])
    assert controls.stage_bar.text() == "Volume: 50 of 100, 20.0 dB" and controls.run_bar.text() == "step 50 of 100"
    assert controls.left.text() == "0:25 left"
    open_studio._set_state("ready")


def test_a_narrow_row_keeps_its_icons_and_drops_the_text(controls, qtbot, shoot):
    style = Qt.ToolButtonStyle
    assert controls.buttons["run"].toolButtonStyle() == style.ToolButtonTextBesideIcon
    controls.resize(900, 44)
    assert controls.buttons["run"].toolButtonStyle() == style.ToolButtonIconOnly
    shoot(controls, "run_controls_narrow")


@pytest.mark.slow
def test_clicks_run_pause_step_stop_and_revert(controls, open_studio, qtbot, shoot, watchdog):
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("volume.steps", 1_000_000)
    studio.set_option("run.evaluate", False)
    assert enabled(controls) == {"run", "step", "until"}

    def press(name):
        qtbot.mouseClick(controls.buttons[name], LEFT)

    press("run")
    wait_for(qtbot, lambda: studio.session is not None and studio.session.total_step > 5)
    watchdog.forgive()  # the engine was loaded meanwhile
    assert enabled(controls) == {"pause", "until", "stop", "revert"}
    wait_for(qtbot, lambda: controls.stage_bar.text().startswith("Volume: ") and "left" in controls.left.text())
    shoot(controls, "run_controls")
    watchdog.forgive()
    press("pause")
    wait_for(qtbot, lambda: studio.state == "paused")
    step = studio.session.total_step
    press("step")
    wait_for(qtbot, lambda: studio.session.total_step == step + 1 and studio.state == "paused")
    controls.until.setValue(step + 4)
    press("until")
    wait_for(qtbot, lambda: studio.session.total_step == step + 4 and studio.state == "paused")
    wait_for(qtbot, lambda: controls.stage_bar.text() == "Paused in volume")
    press("run")
    wait_for(qtbot, lambda: studio.session.total_step > step + 8 and studio.state == "running")
    press("stop")
    wait_for(qtbot, lambda: studio.state == "paused" and not studio.has_unsaved_steps)
    saved = studio.session.total_step
    press("step")
    wait_for(qtbot, lambda: studio.session.total_step == saved + 1 and studio.state == "paused")
    controls.revert_menu.aboutToShow.emit()
    wait_for(qtbot, lambda: any(f"Step {saved:,}" in action.text() for action in controls.revert_menu.actions()))
    next(action for action in controls.revert_menu.actions() if f"Step {saved:,}," in action.text()).trigger()
    wait_for(qtbot, lambda: studio.session.total_step == saved)
    assert not studio.problems


def test_it_says_at_once_that_a_run_begins(controls, open_studio):
    open_studio.message_received.emit(Progress("prepare", 0.2, "compiling"))
    assert controls.stage_bar.format() == "Ready to run"
    controls._state("running")
    assert controls.stage_bar.maximum() == 0 and controls.run_bar.format() == "Preparing: compiling"
    open_studio.state = "running"
    open_studio.message_received.emit(Progress("photos", 1.0, "photo 48 of 48: a"))
    assert controls.stage_bar.maximum() == 0 and "All photos are read" in controls.run_bar.format()
    open_studio.state = "ready"


@pytest.mark.parametrize(("name", "state"), [("new", "paused"), ("new", "finished"), ("run", "finished")])
@pytest.mark.parametrize("unsaved", [False, True])
def test_a_run_that_is_not_saved_is_not_left_unasked(controls, studio, monkeypatch, name, state, unsaved):
    done, asked = [], []
    monkeypatch.setattr(type(studio), "has_unsaved_steps", unsaved)
    for what in ("new_run", "run"):
        monkeypatch.setattr(studio, what, lambda what=what: done.append(what))
    controls.leaving, studio.state = asked.append, state
    controls.actions_[name].setEnabled(True)
    controls.actions_[name].trigger()
    assert len(asked) == unsaved and (not done if unsaved else done)
    for then in asked:
        then()
    assert done == (["new_run"] if name == "new" else ["new_run", "run"])


def test_the_window_asks_before_another_run(window):
    assert window.controls.leaving == window.files.leaving
