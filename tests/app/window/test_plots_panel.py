"""The plots panel driven by clicks, with pictures to look at."""

from __future__ import annotations

import csv
import itertools
import math
import time
import weakref
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QLabel,
    QScrollArea,
    QSlider,
    QTableWidget,
    QTabWidget,
    QToolButton,
)

from app.window.curves import (
    LOSS,
    MESH,
    PREVIEW,
    PSNR,
    TEST_PHOTOS,
    TRAIN_PHOTOS,
    read_log,
)
from app.window.plot_view import SMALLEST, columns
from app.window.plots_panel import PlotsPanel
from app.window.theme import palette
from engine.optimize.messages import EvalReport, StepReport
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe
from tests.app.window.conftest import wait_for
from tests.app.window.made_run import project, whole_run


@pytest.fixture
def panel(studio, shown):
    return shown(PlotsPanel(studio), 1000, 300)


@pytest.fixture
def filled(panel, qtbot):
    panel.studio.steps_reported.emit(whole_run())
    panel.studio.message_received.emit(EvalReport({"psnr": 27.5}))
    wait_for(qtbot, lambda: panel.view.shown == [LOSS, PSNR])
    drawn(panel, qtbot)
    return panel


def drawn(panel, qtbot) -> None:
    """Wait until nothing is left to draw."""
    wait_for(qtbot, lambda: not panel._clock.isActive())


def part(panel, kind, name):
    found = panel.findChild(kind, name)
    assert found is not None, name
    return found


def tick_everything(panel):
    for key in panel.run.keys():
        panel.tree.tick(key)


# ---- curves


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
    wait_for(qtbot, lambda: ("", (LOSS, "mask"), "line") in filled.view._lines[LOSS])


def test_all_plots_are_drawn_and_read_out_without_holding_the_window_up(filled, qtbot, watchdog, shoot):
    filled.resize(1200, 420)
    qtbot.wait(100)
    watchdog.forgive()
    tick_everything(filled)
    wait_for(qtbot, lambda: len(filled.view.shown) == 6)
    drawn(filled, qtbot)
    qtbot.wait(300)

    steps = itertools.count()

    def read_out() -> bool:
        """Move the cursor, over and over: the axes may still be finding their ranges."""
        place = QPointF(500 + next(steps) % 20, 22)
        where = filled.view.mapFromScene(filled.view.plots[PSNR].getViewBox().mapViewToScene(place))
        qtbot.mouseMove(filled.view.viewport(), where)
        return filled.view._values[PSNR].isVisible()

    wait_for(qtbot, read_out)
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
    wait_for(qtbot, lambda: ("", (LOSS, "total"), "raw") in filled.view._lines[LOSS])
    plot = filled.view.plots[LOSS]
    wait_for(qtbot, lambda: plot.viewRange()[0][1] == pytest.approx(37.5, rel=0.2))  # seconds
    wait_for(qtbot, lambda: -3 < plot.viewRange()[1][0] < plot.viewRange()[1][1] < 1)  # powers of ten
    drawn(filled, qtbot)
    right = plot.viewRange()[0][1]
    shoot(filled, "plots_log_smooth")
    filled.view.plots[LOSS].getViewBox().scaleBy((0.3, 0.3))
    assert plot.viewRange()[0][1] < right
    part(filled, QToolButton, "plot_fit").click()
    wait_for(qtbot, lambda: plot.viewRange()[0][1] == pytest.approx(right, rel=0.05))


@pytest.mark.parametrize(
    ("count", "width", "height", "across"),
    [
        (1, 700, 200, 1),
        (2, 700, 600, 2),
        (3, 640, 190, 3),  # a row of narrower ones rather than two rows and a gap
        (3, 350, 190, 2),
        (3, 300, 600, 1),
        (4, 480, 300, 2),
        (6, 920, 370, 3),
        (3, 480, 140, 2),  # these scroll
        (3, 200, 100, 1),
        (0, 700, 200, 1),
    ],
)
def test_plots_are_placed_where_they_can_be_read(count, width, height, across):
    assert columns(count, width, height) == across


def test_where_plots_do_not_fit_they_scroll_and_stay_readable(filled, qtbot, shoot):
    tick_everything(filled)
    wait_for(qtbot, lambda: len(filled.view.shown) == 6)
    area, plots = part(filled, QScrollArea, "plot_area"), filled.view.plots

    def readable() -> bool:
        sizes = [plots[group].geometry() for group in filled.view.shown]
        return all(size.width() >= SMALLEST[0] - 10 and size.height() >= SMALLEST[1] - 10 for size in sizes)

    for width, height, scrolls in ((460, 160, True), (1100, 500, False), (620, 200, True)):
        filled.resize(width, height)
        wait_for(qtbot, lambda scrolls=scrolls: area.verticalScrollBar().isVisible() == scrolls and readable())
        drawn(filled, qtbot)
        shoot(filled, f"plots_in_{width}x{height}")


def test_zeros_on_a_log_scale_draw_nothing_and_break_nothing(filled, qtbot):
    tick_everything(filled)
    wait_for(qtbot, lambda: len(filled.view.shown) == 6)
    part(filled, QCheckBox, "plot_log").click()
    drawn(filled, qtbot)
    filled.view.grab()
    part(filled, QCheckBox, "plot_log").click()
    drawn(filled, qtbot)
    filled.view.grab()


def test_a_hidden_panel_draws_nothing_and_a_shown_one_not_too_often(filled, qtbot):
    reports = whole_run()
    filled.hide()
    before = filled.drawings
    filled.studio.steps_reported.emit(reports[:5])
    qtbot.wait(300)
    assert filled.drawings == before
    filled.show()
    wait_for(qtbot, lambda: filled.drawings > before)
    drawn(filled, qtbot)
    before, since = filled.drawings, time.monotonic()
    for entry in reports[5:45]:
        filled.studio.steps_reported.emit([entry])
        qtbot.wait(10)
    wait_for(qtbot, lambda: filled.drawings > before)
    assert filled.drawings - before <= (time.monotonic() - since) / 0.15 + 1  # timers may be early


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


def test_previews_of_all_test_photos_are_noted_in_the_runs_log(panel, monkeypatch, tmp_path):
    folder = project(tmp_path / "run", Recipe(), whole_run()[:100])
    kept = Project.open(folder, Recipe)
    monkeypatch.setattr(panel.studio, "call", lambda function: function(SimpleNamespace(project=kept)))
    panel.studio.steps_reported.emit(whole_run()[:100])
    for step, psnr in ((60, 21.0), (60, 22.0), (80, math.nan), (90, 23.0)):
        panel.studio.test_measured.emit(step, psnr)
    kept.close()
    again = read_log(folder / "log.jsonl").curves[(PSNR, PREVIEW)].points().tolist()
    assert again == panel.run.curves[(PSNR, PREVIEW)].points().tolist() == [[60, 3.0, 21.0], [90, 4.5, 23.0]]


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
    wait_for(qtbot, lambda: table.isVisible() and table.rowCount() == 2)
    cells = [[table.item(row, column).text() for column in range(3)] for row in range(2)]
    assert cells == [["light.frame", "world", "camera"], ["shape.steps", "700", "250"]]
    other = ("brighter", (LOSS, "total"), "line")
    wait_for(qtbot, lambda: other in filled.view._lines[LOSS])
    assert filled.view._lines[LOSS][other].opts["pen"].style() == Qt.PenStyle.DashLine
    filled.view.read_out(200)
    shoot(filled, "plots_compare")
    filled.studio.set_option("shape.steps", 250)
    assert table.rowCount() == 1 and part(filled, QLabel, "difference_title").text() == "1 option differs from brighter"
    part(filled, QToolButton, "end_comparison").click()
    wait_for(qtbot, lambda: other not in filled.view._lines[LOSS])
    assert not table.isVisible() and filled.other is None
    assert part(filled, QTabWidget, "plot_side").count() == 1 and filled.tree.isVisible()


def test_a_folder_that_is_no_run_is_named(filled, qtbot, tmp_path):
    filled.compare_with(tmp_path)
    wait_for(qtbot, lambda: filled.studio.problems)
    assert str(tmp_path) in filled.studio.problems[0][0] and filled.other is None


def test_numbers_and_picture_are_exported(filled, qtbot, tmp_path):
    filled.export_csv(tmp_path / "curves.csv")
    filled.export_png(tmp_path / "plots.png")
    wait_for(qtbot, lambda: (tmp_path / "curves.csv").exists() and (tmp_path / "plots.png").exists())
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    losses = [float(row["value"]) for row in rows if row["curve"] == "total"]
    assert len(losses) == 750 and losses[9] == pytest.approx(whole_run()[9].loss)
    wait_for(qtbot, lambda: not QImage(str(tmp_path / "plots.png")).isNull())
    filled.export_csv(tmp_path / "nowhere" / "curves.csv")
    wait_for(qtbot, lambda: filled.studio.problems)
    assert "nowhere" in filled.studio.problems[0][0]


def test_a_closed_run_is_shown_but_not_kept_alive(panel, qtbot, tmp_path):
    class Run:
        project = SimpleNamespace(folder=tmp_path)

    run = Run()
    panel.studio.session_changed.emit(run)
    panel.studio.steps_reported.emit(whole_run())
    panel.studio.session_changed.emit(None)
    kept = weakref.ref(run)
    del run
    wait_for(qtbot, lambda: kept() is None)
    assert panel.run.curves


@pytest.mark.parametrize("dark", [True, False])
def test_both_themes_can_be_read(filled, qtbot, shoot, dark):
    filled.setPalette(palette(dark))
    qtbot.wait(100)
    shoot(filled, f"plots_{'dark' if dark else 'light'}")
    ground = filled.view.backgroundBrush().color()
    ink = filled.view.plots[LOSS].getAxis("left").pen().color()
    assert abs(ground.lightness() - ink.lightness()) > 120
    filled.view.take_room(filled.view.room)  # names the axes again
    named = filled.view.plots[LOSS].getAxis("bottom").label
    assert "step" in named.toPlainText() and QColor(named.toHtml().split("color:")[1][:7]) == ink
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
    wait_for(qtbot, lambda: studio.state == "paused")
    assert len(panel.run.curves[(LOSS, "total")]) == 20
    studio.stop()
    folder = studio.project
    wait_for(qtbot, lambda: list((folder / "checkpoints").glob("*.json")))
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "paused" and studio.session is not None)
    wait_for(qtbot, lambda: panel.run.stages)
    assert len(panel.run.curves[(LOSS, "total")]) > 10
    studio.step_once()
    wait_for(qtbot, lambda: panel.run.step == 21)
    assert panel.run.curves[(LOSS, "total")].points()[-1, 0] == 21
    assert not studio.problems
