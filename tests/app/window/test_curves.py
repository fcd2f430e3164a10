"""The curves of a run: bounded memory, going back, reading logs."""

from __future__ import annotations

import json
import math

import numpy as np

from app.window import curves as curves_module
from app.window.curves import (
    CAPACITY,
    LOSS,
    MEASURED,
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
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe
from tests.app.window.made_run import project, report, whole_run


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


def test_what_the_window_measured_comes_back_from_the_log_and_goes_back_with_the_run(tmp_path):
    reports = whole_run()[:80]
    made = Project.create(tmp_path / "run", Recipe(), tmp_path / "photos")
    for number, entry in enumerate([*reports[:60], *reports[29:]]):  # back to step 30 after step 60
        made.log("StepReport", {"seconds": entry.seconds} | vars(entry))
        if number in (9, 49):
            made.log(MEASURED, {"step": entry.total_step, "seconds": entry.seconds, "psnr": 20.0 + number})
    made.log(MEASURED, {"step": 70, "seconds": 3.5, "psnr": 25.0})
    made.log(MEASURED, {"step": 65, "seconds": 3.2, "psnr": 25.0})  # of an older picture
    made.log(MEASURED, {"step": 75})
    made.close()
    curve = read_log(tmp_path / "run" / "log.jsonl").curves[(PSNR, PREVIEW)]
    assert curve.points().tolist() == [[10, 0.5, 29.0], [70, 3.5, 25.0]]


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
