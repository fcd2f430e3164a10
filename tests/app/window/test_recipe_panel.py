"""The recipe panel, driven by clicks and keys: every option edits, refuses, resets and says why it may not change."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLabel, QLineEdit, QToolButton, QWidget

from app.window import edits, option_fields
from app.window.option_fields import PathField, field_for, stepped
from app.window.option_names import words_of
from app.window.recipe_panel import HIDDEN, RecipePanel
from engine.optimize import options
from engine.optimize.messages import Failed, Progress, StageChanged, StepReport
from engine.optimize.options import describe, find_option
from engine.optimize.recipe import Recipe
from tests.app.window.conftest import wait_for


def shown(qtbot, studio) -> RecipePanel:
    panel = RecipePanel(studio)
    qtbot.addWidget(panel)
    panel.resize(360, 800)
    panel.show()
    qtbot.waitExposed(panel)
    wait_for(qtbot, lambda: panel.built)
    return panel


@pytest.fixture
def panel(qtbot, studio):
    studio.load_recipe("object")
    return shown(qtbot, studio)


def part(panel, kind, name):
    found = panel.findChild(kind, name)
    assert found is not None, name
    return found


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def type_in(qtbot, panel, key, text):
    """Replace what a number or text field holds, and press Return."""
    entry = part(panel, QWidget, f"field_{key}")
    entry.setFocus()
    (entry.lineEdit() if isinstance(entry, QAbstractSpinBox) else entry).selectAll()
    qtbot.keyClicks(entry, text)
    qtbot.keyClick(entry, Qt.Key.Key_Return)


def test_every_option_of_the_recipe_has_a_row_with_meaning_and_range(panel):
    keys = {row.key for row in describe(panel.studio.recipe)} - set(HIDDEN)
    assert set(panel.lines) == keys
    for row in describe(panel.studio.recipe):
        if row.key in keys:
            tip = panel.lines[row.key].toolTip()
            assert row.key in tip and row.meaning.help[1:20] in tip.replace("&#x27;", "'"), row.key
            assert not row.meaning.unit or f"Unit: {row.meaning.unit}" in tip
            assert ("next step" in tip) == row.meaning.live


def test_every_widget_to_click_has_a_name_and_a_tool_tip(panel):
    for kind in (QToolButton, QCheckBox, QComboBox, QLineEdit):
        for widget in panel.findChildren(kind):
            if widget.parent() is not None and isinstance(widget.parent(), QAbstractSpinBox | QLineEdit | QComboBox):
                continue  # Qt's own parts
            assert widget.objectName(), widget
            nearest = widget
            while nearest is not None and not nearest.toolTip():
                nearest = nearest.parentWidget()
            assert nearest is not None, widget.objectName()


def test_a_number_is_typed_stands_out_and_is_reset(panel, qtbot, shoot):
    panel.show_section("shape")
    type_in(qtbot, panel, "shape.steps", "900")
    line = panel.lines["shape.steps"]
    assert panel.studio.recipe.shape.steps == 900 and line.changed and line.name.font().bold()
    assert "1 changed" in panel.sections["shape"].header.text()
    type_in(qtbot, panel, "shape.learning_rate", "5")
    shoot(panel, "recipe_panel")
    click(qtbot, part(panel, QToolButton, "reset_shape.steps"))
    assert panel.studio.recipe.shape.steps == 700 and not line.changed and not line.back.isVisible()


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("shape.resolution", "many", "expected a whole number"),
        ("shape.resolution", "1000", "must be 16 to 192"),
        ("shape.steps", "7.5", "expected a whole number"),
        ("shape.mask", "nan", "expected a finite number"),
        ("capture.region", "1,2,x", "a finite number"),
        ("export.name", "a/b", "a plain file name"),
    ],
)
def test_nonsense_is_refused_in_place_and_the_old_value_stays(panel, qtbot, key, text, sentence):
    panel.show_section(key.split(".")[0])
    before = find_option(panel.studio.recipe, key).value
    type_in(qtbot, panel, key, text)
    complaint = part(panel, QLabel, f"refused_{key}")
    assert complaint.isVisible() and sentence in complaint.text() and words_of(key) in complaint.text()
    assert key not in complaint.text()  # which is for recipe files
    assert find_option(panel.studio.recipe, key).value == before
    field = panel.lines[key].field
    entry = field.entry.lineEdit() if isinstance(field.entry, QAbstractSpinBox) else field.entry
    assert entry.text() == option_fields.text_of(before)
    assert panel.studio.undo_stack.count() == 0


def test_a_complaint_goes_with_the_next_good_value(panel, qtbot):
    panel.show_section("shape")
    type_in(qtbot, panel, "shape.steps", "x")
    type_in(qtbot, panel, "shape.steps", "650")
    assert not part(panel, QLabel, "refused_shape.steps").isVisible()
    assert panel.studio.recipe.shape.steps == 650


def test_arrow_keys_step_and_the_steps_are_one_edit(panel, qtbot, monkeypatch):
    monkeypatch.setattr(edits, "clock", lambda: 0.0)  # however slowly they are pressed here
    panel.show_section("shape")
    entry = part(panel, QAbstractSpinBox, "field_shape.learning_rate")
    entry.setFocus()
    for _ in range(3):
        qtbot.keyClick(entry, Qt.Key.Key_Up)
    assert panel.studio.recipe.shape.learning_rate == pytest.approx(0.033)
    assert panel.studio.undo_stack.count() == 1
    panel.studio.undo_stack.undo()
    assert panel.studio.recipe.shape.learning_rate == 0.03 and entry.lineEdit().text() == "0.03"


def test_arrow_keys_skip_what_is_too_small_to_mean_anything(panel, qtbot):
    panel.show_section("capture")
    entry = part(panel, QAbstractSpinBox, "field_capture.max_size")
    entry.setFocus()
    seen = []
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down):
        qtbot.keyClick(entry, key)
        seen.append(panel.studio.recipe.capture.max_size)
    assert seen == [32, 33, 32, 0]


def test_steps_are_even_on_a_log_scale_and_stay_in_range():
    assert [stepped(100, 1, True), stepped(100, -1, True), stepped(7, 1, True)] == [110, 99, 8]
    assert stepped(0.01, 1, False) == pytest.approx(0.011) and stepped(0.01, -1, False) == pytest.approx(0.0099)
    assert stepped(0, 1, False) == 0.001 and stepped(1, -1, True) == 0 and stepped(0.001, -1, False) > 0


def test_a_switch_a_choice_and_a_list(panel, qtbot):
    panel.show_section("volume")
    box = part(panel, QCheckBox, "field_volume.keep_hull")
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=_left_of(box))
    assert panel.studio.recipe.volume.keep_hull is False
    panel.show_section("light")
    combo = part(panel, QComboBox, "field_light.frame")
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert panel.studio.recipe.light.frame == "camera"
    panel.show_section("capture")
    type_in(qtbot, panel, "capture.color_key", "0, 255, 0")
    assert panel.studio.recipe.capture.color_key == (0.0, 255.0, 0.0)


def _left_of(box):
    point = box.rect().center()
    point.setX(8)
    return point


def test_paths_can_be_chosen(panel, qtbot, monkeypatch, tmp_path):
    assert isinstance(panel.lines["capture.masks"].field, PathField)
    monkeypatch.setattr(option_fields.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel.show_section("capture")
    click(qtbot, part(panel, QToolButton, "choose_capture.masks"))
    assert panel.studio.recipe.capture.masks == str(tmp_path)


def test_every_type_of_option_has_a_field(qtbot):
    for row in describe(Recipe()):
        field = field_for(row)
        qtbot.addWidget(field)
        field.show_value(row.value)
        assert field.value == row.value


def test_search_and_changed_only_filter(panel, qtbot, shoot):
    search = part(panel, QLineEdit, "option_search")
    qtbot.keyClicks(search, "learning rate")
    visible = [key for key, line in panel.lines.items() if line.isVisible()]
    assert "refine.learning_rate_texture" in visible and all("learning_rate" in key for key in visible)
    shoot(panel, "recipe_panel_search")
    search.clear()
    qtbot.keyClicks(search, "zebra")
    assert panel.empty.isVisible() and not any(line.isVisible() for line in panel.lines.values())
    search.clear()
    assert not panel.empty.isVisible() and not panel.lines["refine.learning_rate"].isVisible()
    panel.studio.set_option("hull.resolution", 64)
    qtbot.mouseClick(panel.changed_only, Qt.MouseButton.LeftButton, pos=_left_of(panel.changed_only))
    assert [key for key, line in panel.lines.items() if line.isVisible()] == ["hull.resolution"]


def test_presets_are_one_click_and_one_undo(panel, qtbot):
    studio = panel.studio
    click(qtbot, part(panel, QToolButton, "preset_best"))
    assert studio.recipe.shape.resolution == 96 and part(panel, QToolButton, "preset_best").isChecked()
    assert "15 minutes" in part(panel, QLabel, "preset_sentence").text()
    assert not panel.lines["shape.resolution"].changed  # against the preset
    studio.set_option("shape.resolution", 90)
    assert panel.lines["shape.resolution"].changed and not part(panel, QToolButton, "preset_best").isChecked()
    assert "with changes" in part(panel, QLabel, "preset_sentence").text()
    click_reset = part(panel, QToolButton, "reset_shape.resolution")
    panel.show_section("shape")
    click(qtbot, click_reset)
    assert studio.recipe.shape.resolution == 96
    while studio.undo_stack.canUndo():
        studio.undo_stack.undo()
    assert studio.recipe.shape.resolution == 64 and part(panel, QToolButton, "preset_balanced").isChecked()


def test_a_preset_and_its_undo_are_told_of_once(panel, qtbot):
    told = []
    panel.studio.recipe_changed.connect(told.append)
    click(qtbot, part(panel, QToolButton, "preset_best"))
    panel.studio.undo_stack.undo()
    assert told == ["", ""] and panel.studio.recipe.shape.resolution == 64
    click(qtbot, part(panel, QToolButton, "lock_material"))
    assert told == ["", "", ""] and panel.studio.recipe.refine.material is False


def test_what_changes_together_is_shown_once(panel, qtbot, monkeypatch):
    whole, show = [], panel._show
    monkeypatch.setattr(panel, "_show", lambda keys: (whole.append(len(keys)), show(keys)))
    for index, name in enumerate(panel.stage_list.stages):
        panel.studio.message_received.emit(StageChanged(name, index, 7, "begin"))
    panel.studio.state_changed.emit("running")
    panel.studio.session_changed.emit(None)
    assert not whole
    wait_for(qtbot, lambda: whole)
    assert whole == [len(panel.lines)]


def test_showing_everything_looks_no_option_up_among_all(panel, monkeypatch):
    whole = []

    def counted(recipe, prefix=""):
        whole.extend([recipe] * (not prefix))
        return describe(recipe, prefix)

    run = SimpleNamespace(recipe=panel.studio.recipe, stage_index=2, stage=None)
    with monkeypatch.context() as patches:
        patches.setattr(options, "describe", counted)
        patches.setattr(panel.studio, "_session", run)
        panel.refresh()
    assert 0 < len(whole) < 10 < len(panel.lines)


def test_locks_hold_parts_still(panel, qtbot):
    studio = panel.studio
    lock = part(panel, QToolButton, "lock_light")
    click(qtbot, lock)
    assert studio.recipe.refine.light is False and lock.isChecked() and studio.undo_stack.count() == 1
    studio.undo_stack.undo()
    assert studio.recipe.refine.light is True and not lock.isChecked()
    cameras = part(panel, QToolButton, "lock_cameras")
    assert cameras.isChecked() and cameras.isEnabled() and "optimize.cameras" in cameras.toolTip()
    click(qtbot, cameras)
    assert studio.recipe.optimize.cameras is True and not cameras.isChecked()


def test_locks_hold_what_the_recipes_stages_move(panel, qtbot):
    studio = panel.studio
    studio.set_option("stages", ["splats", "export"])
    click(qtbot, part(panel, QToolButton, "lock_geometry"))
    assert studio.recipe.splats.geometry is False and studio.recipe.shape.geometry is True
    light = part(panel, QToolButton, "lock_light")
    assert not light.isEnabled() and "no stage" in light.toolTip()


def test_recipe_files_load_and_save(panel, tmp_path):
    panel.studio.set_option("shape.steps", 321)
    panel.save(tmp_path / "mine.toml")
    assert "Saved" in panel.notice.text()
    panel.studio.set_option("shape.steps", 5)
    panel.load(tmp_path / "mine.toml")
    assert panel.studio.recipe.shape.steps == 321
    (tmp_path / "odd.toml").write_text("[shape]\nstepz = 1\n")
    panel.load(tmp_path / "odd.toml")
    assert panel.notice.isVisible() and "shape.steps" in panel.notice.text()
    assert panel.studio.recipe.shape.steps == 321


def test_another_recipe_changes_the_list_of_stages(panel, qtbot):
    panel.preset_bar.bundled_wanted.emit("refine")
    assert panel.stage_list.stages == ("given", "refine", "export")
    assert "not in this recipe" in panel.sections["hull"].header.text()
    for name in ("splats", "fuse", "blackbox", "cage", "subdivision"):
        assert "not in this recipe" in panel.sections[name].header.text()
    panel.preset_bar.bundled_wanted.emit("scene")
    assert "not in this recipe" not in panel.sections["splats"].header.text()
    assert "minute" not in part(panel, QToolButton, "preset_best").toolTip()


def test_stages_show_how_far_they_are(panel, qtbot, shoot):
    stages = panel.stage_list
    say = panel.studio.message_received.emit
    say(StageChanged("hull", 0, 7, "begin"))
    say(Progress("hull", 0.5, "carving"))
    assert stages.states[0] == "running" and stages.bars[0].value() == 500
    report = StepReport("shape", 350, 700, 1350, 2200, 0.1, {}, 20.0, 60.0)
    panel.studio.steps_reported.emit([report])
    assert stages.states == ["done", "done", "done", "running", "waiting", "waiting", "waiting"]
    assert stages.bars[3].format() == "350 of 700" and stages.bars[3].value() == 500
    shoot(panel, "recipe_panel_stages")
    say(Failed("no memory", "shape"))
    assert stages.states[3] == "failed"
    click(qtbot, part(panel, QToolButton, "stage_refine"))
    assert panel.sections["refine"].header.isChecked()


@pytest.mark.slow
def test_in_mid_run_live_options_take_effect_and_others_say_what_they_restart(open_studio, qtbot, watchdog, shoot):
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    studio.set_option("volume.steps", 400)
    panel = shown(qtbot, studio)
    studio.run_until(3)
    wait_for(qtbot, lambda: studio.state == "paused")
    watchdog.forgive()
    panel.show_section("volume")
    fixed = panel.lines["volume.resolution"]
    assert not fixed.field.isEnabled() and "The stage Volume has begun" in fixed.toolTip()
    type_in(qtbot, panel, "volume.learning_rate", "0.05")
    wait_for(qtbot, lambda: studio.session.recipe.volume.learning_rate == 0.05)
    wait_for(qtbot, lambda: "volume.learning_rate" in [entry.key for entry in studio.session.project.history])
    wait_for(qtbot, lambda: panel.lines["volume.learning_rate"].changed)
    shoot(panel, "recipe_panel_running")
    studio.undo_stack.undo()
    wait_for(qtbot, lambda: studio.session.recipe.volume.learning_rate == 0.1)
    wait_for(qtbot, lambda: not panel.lines["volume.learning_rate"].changed)
    assert panel.stage_list.states == ["done", "running"] and not studio.problems
    panel._use("toon")
    said = panel.notice.text()
    assert "Run › New run" in said and "Stages" in said and " more" in said and "optimize." not in said
