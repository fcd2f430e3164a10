"""The plots: bounded memory, going back, reading logs, and a panel driven by clicks whose pictures can be looked at."""

from __future__ import annotations

import csv
import json
import math
import time

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QAbstractButton, QCheckBox, QComboBox, QLabel, QSlider, QTableWidget, QToolButton

from app.window import curves as curves_module
from app.window.curves import (
    CAPACITY,
    LOSS,
    MESH,
    PREVIEW,
    PSNR,
    RATE,
    SURFACE,
    TEST_PHOTOS,
    TIME,
    TRAIN_PHOTOS,
    Curve,
    RunCurves,
    read_log,
    smoothed,
    stage_starts,
    thinned,
    value_at,
)
from app.window.plots_panel import PlotsPanel
from app.window.theme import palette
from engine.optimize.messages import EvalReport, StepReport
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe
from tests.app.window.conftest import wait_for

STAGES = (("volume", 300), ("shape", 250), ("refine", 200))


def report(stage, step, steps, total_step) -> StepReport:
    noise = np.random.default_rng(total_step).random()
    loss = math.exp(-step / 100) * (1 + 0.2 * noise) + 0.01
    terms = {"color": 0.7 * loss, "mask": 0.3 * loss}
    if stage == "shape":
        terms |= {"l_dev": 0.1 * loss, "entropy": 0.02 * loss}
    return StepReport(
        *(stage, step, steps, total_step, 750, loss, terms, 20 + 6 * (1 - math.exp(-step / 100)) + noise),
        seconds=total_step * 0.05,
        learning_rates={"vertices": 0.1 * math.exp(-step / 300), "texture": 0.01},
        timings={"views": 0.002, "shading": 0.03 + 0.005 * noise, "backward": 0.04},
        mesh={"faces": 9000.0 + step, "components": 3, "non_manifold_edges": 0} if total_step % 40 == 0 else {},
    )


def whole_run() -> list[StepReport]:
    reports, total = [], 0
    for stage, steps in STAGES:
        for step in range(1, steps + 1):
            total += 1
            reports.append(report(stage, step, steps, total))
    return reports


def project(folder, recipe, reports):
    made = Project.create(folder, recipe, folder / "photos")
    for entry in reports:
        made.log("StepReport", {"seconds": entry.seconds} | vars(entry))
    made.log("EvalReport", {"seconds": 60.0, "metrics": {"psnr": 27.5}})
    made.close()
    return folder


@pytest.fixture
def panel(qtbot, studio):
    made = PlotsPanel(studio)
    qtbot.addWidget(made)
    made.resize(1000, 300)
    made.show()
    qtbot.waitExposed(made)
    return made


@pytest.fixture
def filled(panel, qtbot):
    panel.studio.steps_reported.emit(whole_run())
    panel.studio.message_received.emit(EvalReport({"psnr": 27.5}))
    wait_for(qtbot, lambda: panel.view.shown == [LOSS, PSNR], 10)
    return panel


def part(panel, kind, name):
    found = panel.findChild(kind, name)
    assert found is not None, name
    return found


def tick_everything(panel):
    for key in panel.run.keys():
        panel.tree.tick(key)


# ---- curves


def test_memory_stays_bounded_and_the_curve_keeps_its_shape():
    curve = Curve(capacity=256)
    for step in range(100_000):
        curve.add(step, 0.1 * step, math.sin(step / 10_000))
    points = curve.points()
    assert 128 <= len(points) <= 257 and curve.nbytes == 256 * 3 * 8
    assert np.abs(points[:, 2] - np.sin(points[:, 0] / 10_000)).max() < 0.02
    assert (np.diff(points[:, 0]) > 0).all() and points[-1, 0] > 99_000
    assert curve.last == math.sin(99_999 / 10_000)


def test_half_an_hour_of_steps_fits_a_few_megabytes():
    run = RunCurves()
    for step in range(1, 30_000):
        run.add_report(report("refine", step, 30_000, step))
    assert run.nbytes < 4e6 and max(map(len, run.curves.values())) <= CAPACITY + 1


def test_names_that_scripts_invent_are_bounded_too():
    run = RunCurves()
    for number in range(1000):
        run.add(LOSS, f"term {number}", number, number, 1.0)
    assert len(run.curves) == curves_module.MAX_CURVES


def test_a_report_fills_every_group():
    run = RunCurves()
    for entry in whole_run():
        run.add_report(entry)
    groups = {group: [name for other, name in run.keys() if other == group] for group in curves_module.GROUPS}
    assert groups[LOSS] == ["total", "color", "mask"] and groups[SURFACE] == ["deviation", "entropy"]
    assert groups[PSNR] == [TRAIN_PHOTOS] and groups[RATE] == ["vertices", "texture"]
    assert groups[TIME] == ["views", "shading", "backward"]
    assert groups[MESH] == ["faces", "components", "non-manifold edges"]
    assert [name for name, *_ in run.stages] == ["volume", "shape", "refine"]
    assert run.curves[(TIME, "views")].last == 2.0  # milliseconds


def test_going_back_takes_the_curve_back():
    run = RunCurves()
    for entry in whole_run()[:400]:
        run.add_report(entry)
    run.add_report(report("shape", 20, 250, 320))
    points = run.curves[(LOSS, "total")].points()
    assert points[-1, 0] == 320 and (np.diff(points[:, 0]) > 0).all()
    run.add_report(report("volume", 1, 300, 1))
    assert [name for name, *_ in run.stages] == ["volume"] and len(run.curves[(LOSS, "total")]) == 1


def test_what_is_not_finite_is_left_out():
    run = RunCurves()
    for step, loss in ((1, 1.0), (2, math.nan), (3, math.inf), (4, 2.0)):
        run.add(LOSS, "total", step, step, loss)
    assert run.curves[(LOSS, "total")].points()[:, 0].tolist() == [1, 4]


def test_smoothing_keeps_stages_apart():
    values = np.r_[np.zeros(50), np.ones(50)]
    assert (smoothed(values, 1.0, [0, 50]) == values).all()
    together = smoothed(values, 1.0)
    assert 0.2 < together[50] < 0.8 and smoothed(values, 0.0) is values
    slope = np.linspace(0, 1, 101)
    assert np.abs(smoothed(slope, 0.7) - slope).max() < 1e-12


def test_thinning_averages_within_stages():
    points = np.column_stack([np.arange(10.0), np.arange(10.0), np.r_[np.zeros(5), np.ones(5)]])
    thin, starts = thinned(points, [0, 5], 5)
    assert thin[:, 0].tolist() == [0.5, 2.5, 4, 5.5, 7.5, 9] and starts == [0, 3]
    assert thin[:, 2].tolist() == [0, 0, 0, 1, 1, 1]


def test_values_are_read_off_the_nearest_point():
    points = np.array([[1, 10, 5.0], [2, 20, 6.0], [4, 40, 7.0]])
    assert value_at(points, 2.4, 0) == 6.0 and value_at(points, 35, 1) == 7.0 and math.isnan(value_at(points, 9, 0))
    run = RunCurves()
    run.stages = [("volume", 1, 10), ("shape", 3, 30)]
    assert stage_starts(points, run) == [0, 2]


def test_a_damaged_log_gives_what_it_has(tmp_path):
    good = {"kind": "StepReport", "seconds": 1.0, "stage": "shape", "step": 1, "steps": 9, "total_step": 1, "loss": 0.5}
    lines = ["not json", json.dumps(good), json.dumps(good | {"terms": 3}), '{"kind": "StepReport"}', "[1]", '"text"']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    run = read_log(tmp_path / "log.jsonl")
    assert run.keys() == [(LOSS, "total")] and len(run.curves[(LOSS, "total")]) == 1
    assert not read_log(tmp_path / "nowhere").curves


def test_a_log_and_what_came_since_join_without_a_gap(tmp_path):
    reports = whole_run()
    folder = project(tmp_path / "run", Recipe(), reports[:500])
    earlier, newer = read_log(folder / "log.jsonl"), RunCurves()
    for entry in reports[480:600]:
        newer.add_report(entry)
    earlier.continued(newer)
    assert earlier.curves[(LOSS, "total")].points()[:, 0].tolist() == list(range(1, 601))
    assert [name for name, *_ in earlier.stages] == ["volume", "shape", "refine"]


# ---- the panel


def test_before_the_first_step_the_panel_says_what_will_come(panel, qtbot, shoot):
    assert part(panel, QLabel, "plots_empty").isVisible()
    assert not part(panel, QSlider, "plot_smoothing").isEnabled()
    shoot(panel, "plots_empty")


def test_every_button_has_a_name_and_a_tool_tip(panel):
    for button in panel.findChildren(QAbstractButton) + panel.findChildren(QComboBox) + panel.findChildren(QSlider):
        if type(button.parent()) is not QTableWidget:
            assert button.objectName() and button.toolTip(), button


def test_curves_come_and_can_be_chosen(filled, qtbot, shoot):
    assert set(filled.tree.chosen()) == {(LOSS, "total"), (PSNR, TRAIN_PHOTOS), (PSNR, TEST_PHOTOS)}
    shoot(filled, "plots")
    row = filled.tree.visualItemRect(filled.tree.item((LOSS, "mask")))
    box = row.center()
    box.setX(filled.tree.indentation() * 2 + 8)
    qtbot.mouseClick(filled.tree.viewport(), Qt.MouseButton.LeftButton, pos=box)
    assert (LOSS, "mask") in filled.tree.chosen()
    wait_for(qtbot, lambda: ("", (LOSS, "mask"), "line") in filled.view._lines[LOSS], 5)


def test_all_plots_are_drawn_and_read_out_without_holding_the_window_up(filled, qtbot, watchdog, shoot):
    filled.resize(1200, 420)
    qtbot.wait(100)
    watchdog.forgive()
    tick_everything(filled)
    wait_for(qtbot, lambda: len(filled.view.shown) == 6, 20)
    qtbot.wait(300)
    plot = filled.view.plots[PSNR]
    where = filled.view.mapFromScene(plot.getViewBox().mapViewToScene(QPointF(500, 22)))
    qtbot.mouseMove(filled.view.viewport(), where)
    wait_for(qtbot, lambda: filled.view._values[PSNR].isVisible(), 5)
    texts = filled.view.read_out(500)
    assert "training" in texts[PSNR] and "step 500" in texts[PSNR] and "faces" in texts[MESH]
    watchdog.forgive()  # the whole picture at once is the test's wish
    shoot(filled, "plots_all")


def test_seconds_log_scale_smoothing_zoom_and_fit(filled, qtbot, shoot):
    axis = part(filled, QComboBox, "plot_axis")
    axis.setFocus()
    qtbot.keyClick(axis, Qt.Key.Key_Down)
    log = part(filled, QCheckBox, "plot_log")
    log.click()
    part(filled, QSlider, "plot_smoothing").setValue(60)
    wait_for(qtbot, lambda: ("", (LOSS, "total"), "raw") in filled.view._lines[LOSS], 5)
    qtbot.wait(100)
    (left, right), (low, high) = filled.view.plots[LOSS].viewRange()
    assert right == pytest.approx(37.5, rel=0.2) and -3 < low < high < 1  # seconds; powers of ten
    shoot(filled, "plots_log_smooth")
    filled.view.plots[LOSS].getViewBox().scaleBy((0.3, 0.3))
    assert filled.view.plots[LOSS].viewRange()[0][1] < right
    part(filled, QToolButton, "plot_fit").click()
    qtbot.wait(100)
    assert filled.view.plots[LOSS].viewRange()[0][1] == pytest.approx(right, rel=0.05)


def test_zeros_on_a_log_scale_draw_nothing_and_break_nothing(filled, qtbot):
    tick_everything(filled)
    wait_for(qtbot, lambda: len(filled.view.shown) == 6, 20)
    part(filled, QCheckBox, "plot_log").click()
    qtbot.wait(200)
    filled.view.grab()
    part(filled, QCheckBox, "plot_log").click()
    qtbot.wait(200)
    filled.view.grab()


def test_a_hidden_panel_draws_nothing_and_a_shown_one_not_too_often(filled, qtbot):
    reports = whole_run()
    filled.hide()
    before = filled.drawings
    filled.studio.steps_reported.emit(reports[:5])
    qtbot.wait(300)
    assert filled.drawings == before
    filled.show()
    wait_for(qtbot, lambda: filled.drawings == before + 1, 5)
    before, since = filled.drawings, time.monotonic()
    for entry in reports[5:45]:
        filled.studio.steps_reported.emit([entry])
        qtbot.wait(10)
    wait_for(qtbot, lambda: filled.drawings > before, 5)
    assert filled.drawings - before <= (time.monotonic() - since) / 0.2 + 1


def test_previews_of_all_test_photos_make_a_curve(open_studio, qtbot):
    panel = PlotsPanel(open_studio)
    qtbot.addWidget(panel)
    open_studio.steps_reported.emit(whole_run()[:100])
    open_studio.set_scores({frame: 20.0 + frame for frame in open_studio.capture.test})
    assert (PSNR, PREVIEW) not in panel.run.curves  # they may have been measured at different steps
    open_studio.test_measured.emit(60, 21.0)
    open_studio.test_measured.emit(60, 22.0)
    open_studio.test_measured.emit(5000, 22.0)
    assert panel.run.curves[(PSNR, PREVIEW)].points().tolist() == [[60, 3.0, 21.0]]


def test_another_run_is_drawn_dashed_with_the_recipes_difference(filled, qtbot, tmp_path, shoot):
    recipe = Recipe()
    recipe.shape.steps, recipe.light.frame = 250, "camera"
    filled.studio.load_recipe("object")
    faster = [
        StepReport(**(vars(entry) | {"loss": 0.5 * entry.loss, "seconds": 0.5 * entry.seconds}))
        for entry in whole_run()
    ]
    filled.compare_with(project(tmp_path / "brighter", recipe, faster))
    table = part(filled, QTableWidget, "difference_table")
    wait_for(qtbot, lambda: table.isVisible() and table.rowCount() == 2, 20)
    cells = [[table.item(row, column).text() for column in range(3)] for row in range(2)]
    assert cells == [["light.frame", "world", "camera"], ["shape.steps", "700", "250"]]
    other = ("brighter", (LOSS, "total"), "line")
    wait_for(qtbot, lambda: other in filled.view._lines[LOSS], 5)
    assert filled.view._lines[LOSS][other].opts["pen"].style() == Qt.PenStyle.DashLine
    filled.view.read_out(200)
    shoot(filled, "plots_compare")
    filled.studio.set_option("shape.steps", 250)
    assert table.rowCount() == 1
    part(filled, QToolButton, "end_comparison").click()
    wait_for(qtbot, lambda: other not in filled.view._lines[LOSS], 5)
    assert not table.isVisible() and filled.other is None


def test_a_folder_that_is_no_run_is_named(filled, qtbot, tmp_path):
    filled.compare_with(tmp_path)
    wait_for(qtbot, lambda: filled.studio.problems, 20)
    assert str(tmp_path) in filled.studio.problems[0][0] and filled.other is None


def test_numbers_and_picture_are_exported(filled, qtbot, tmp_path):
    filled.export_csv(tmp_path / "curves.csv")
    filled.export_png(tmp_path / "plots.png")
    wait_for(qtbot, lambda: (tmp_path / "curves.csv").exists() and (tmp_path / "plots.png").exists(), 10)
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    losses = [float(row["value"]) for row in rows if row["curve"] == "total"]
    assert len(losses) == 750 and losses[9] == pytest.approx(whole_run()[9].loss)
    wait_for(qtbot, lambda: not QImage(str(tmp_path / "plots.png")).isNull(), 5)
    filled.export_csv(tmp_path / "nowhere" / "curves.csv")
    wait_for(qtbot, lambda: filled.studio.problems, 10)
    assert "nowhere" in filled.studio.problems[0][0]


@pytest.mark.parametrize("dark", [True, False])
def test_both_themes_can_be_read(filled, qtbot, shoot, dark):
    filled.setPalette(palette(dark))
    qtbot.wait(100)
    shoot(filled, f"plots_{'dark' if dark else 'light'}")
    ground = filled.view.backgroundBrush().color()
    ink = filled.view.plots[LOSS].getAxis("left").pen().color()
    assert abs(ground.lightness() - ink.lightness()) > 120
    for key in filled.run.keys():
        assert abs(filled.tree.color(key).lightness() - ground.lightness()) > 40, key


@pytest.mark.slow
def test_a_project_that_is_opened_again_shows_how_it_went(open_studio, qtbot, monkeypatch):
    monkeypatch.setattr("engine.optimize.session.LOG_SECONDS", 0.0)  # these steps are faster than the log's
    studio = open_studio
    studio.set_option("stages", ["hull", "volume"])
    studio.set_option("run.evaluate", False)
    panel = PlotsPanel(studio)
    qtbot.addWidget(panel)
    panel.show()
    studio.run_until(20)
    wait_for(qtbot, lambda: studio.state == "paused", 120)
    assert len(panel.run.curves[(LOSS, "total")]) == 20
    studio.stop()
    folder = studio.project
    wait_for(qtbot, lambda: list((folder / "checkpoints").glob("*.json")), 30)
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "paused" and studio.session is not None, 60)
    wait_for(qtbot, lambda: panel.run.stages, 10)
    assert len(panel.run.curves[(LOSS, "total")]) > 10
    studio.step_once()
    wait_for(qtbot, lambda: panel.run.step == 21, 30)
    assert panel.run.curves[(LOSS, "total")].points()[-1, 0] == 21
    assert not studio.problems


def test_the_result_told_again_on_opening_keeps_the_curves_of_the_log():
    logged, told = RunCurves(), RunCurves()
    for entry in whole_run():
        logged.add_report(entry)
    logged.add_evaluation({"psnr": 28.0})
    count = len(logged.curves[(LOSS, "total")])
    told.add_evaluation({"psnr": 28.0})
    logged.continued(told)
    assert len(logged.curves[(LOSS, "total")]) == count
    assert logged.curves[(PSNR, TEST_PHOTOS)].points()[-1, 0] == logged.step
