"""The plots panel: losses, PSNR, learning rates, times and mesh over the run, and a second run beside it."""

from __future__ import annotations

import csv
import os
import time
import typing
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSlider,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.window.compare_runs import OtherRun, RecipeDifference, read_run
from app.window.curve_tree import CurveTree
from app.window.curves import LOSS, MEASURED, Key, RunCurves, read_log
from app.window.painted import CheckBox
from app.window.plot_view import SECONDS, STEP, PlotArea, PlotView
from engine.optimize.messages import EvalReport, StepReport

if typing.TYPE_CHECKING:
    from app.window.background import ProgressHandle
    from app.window.studio import Studio

REDRAW_SECONDS = 0.5  # between two drawings, or up to SLOWEST where one takes over a twentieth of it
SLOWEST = 2.0
EMPTY = (
    "Curves appear here as soon as a run takes steps: the loss and its terms, how well renders match the photos "
    "(PSNR), learning rates, the time of each part of a step, and the state of the mesh.\n\n"
    "Press Run, or open a project to see how it went."
)


class PlotsPanel(QWidget):
    """Keeps the numbers of the run in bounded memory and draws those that are ticked, when the panel can be seen."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("plots_panel")
        self.studio = studio
        self.run, self.other = RunCurves(), None
        self._session: Callable[[], Any] = lambda: None  # the last one, closed or not, which is not kept alive
        self._drawn_at, self._cost, self.drawings = -1.0, 0.0, 0
        self.tree = CurveTree()
        self.view = PlotView(self.tree.color)
        self.difference = RecipeDifference(self)
        self.difference.hide()
        self.empty = QLabel(EMPTY)
        self._clock = QTimer(self, singleShot=True)
        self._clock.timeout.connect(self._redraw_shown)
        self._make_controls()
        self._lay_out()
        self._connect()
        self._session_changed(studio.session)

    def _make_controls(self) -> None:
        self.axis = QComboBox()
        self.axis.setObjectName("plot_axis")
        self.axis.setAccessibleName("Horizontal axis")
        self.axis.addItem("Step", STEP)
        self.axis.addItem("Seconds", SECONDS)
        self.axis.setToolTip("What the horizontal axis shows: steps, or seconds since the run began")
        self.smooth = QSlider(Qt.Orientation.Horizontal)
        self.smooth.setObjectName("plot_smoothing")
        self.smooth.setAccessibleName("Smoothing")
        self.smooth.setRange(0, 100)
        self.smooth.setFixedWidth(90)
        self.smooth.setToolTip("Average over a longer part of each curve; the raw curve stays in pale")
        self.logarithmic = CheckBox("Log scale")
        self.logarithmic.setObjectName("plot_log")
        self.logarithmic.setToolTip("Logarithmic vertical axes; values that are not positive are left out")
        self.fit = _button("plot_fit", "Show all", "Fit every plot to its curves and follow them")
        self.compare = _button("plot_compare", "Compare…", "Draw another run over this one, from its project folder")
        self.export = _button("plot_export", "Export", "Save the ticked curves as numbers, or the plots as a picture")
        self.export.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        menu.addAction("Numbers (CSV)…", self._ask_csv).setObjectName("plot_export_csv")
        menu.addAction("Picture (PNG)…", self._ask_png).setObjectName("plot_export_png")
        self.export.setMenu(menu)

    def _lay_out(self) -> None:
        self.empty.setObjectName("plots_empty")
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(24)
        self.empty.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        bar = QHBoxLayout()
        bar.addWidget(self.axis)
        bar.addWidget(QLabel("Smooth"))
        bar.addWidget(self.smooth)
        bar.addWidget(self.logarithmic)
        bar.addStretch(1)
        for widget in (self.fit, self.compare, self.export):
            bar.addWidget(widget)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.side = QTabWidget()  # leaves the width to the plots
        self.side.setObjectName("plot_side")
        self.side.setDocumentMode(True)
        self.side.setTabBarAutoHide(True)
        self.side.setFocusProxy(None)  # else the tab bar, which takes keys by itself, would hold them while hidden
        self.side.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.side.tabBar().setAccessibleName("Curves or recipes")
        self.side.addTab(self.tree, "Curves")
        self.side.setTabToolTip(0, "Which curves are drawn")
        for arrow in self.side.tabBar().findChildren(QToolButton):  # Qt's own, for tabs that do not fit
            arrow.setToolTip("Show the next tab")
        self.splitter.addWidget(self.side)
        self.splitter.addWidget(PlotArea(self.view))
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([250, 600])
        self.splitter.setChildrenCollapsible(False)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.empty)
        self.pages.addWidget(self.splitter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(bar)
        layout.addWidget(self.pages, 1)

    def _connect(self) -> None:
        studio = self.studio
        studio.steps_reported.connect(self.take_reports)
        studio.message_received.connect(self._message)
        studio.session_changed.connect(self._session_changed)
        studio.state_changed.connect(self._state_changed)
        studio.test_measured.connect(self._test_measured)
        studio.recipe_changed.connect(lambda key: self._show_difference())
        self.tree.chosen_changed.connect(self.mark_stale)
        self.axis.currentIndexChanged.connect(self._set_axis)
        self.smooth.valueChanged.connect(self.mark_stale)
        self.logarithmic.toggled.connect(self._set_logarithmic)
        self.fit.clicked.connect(self.view.see_everything)
        self.compare.clicked.connect(self._ask_other)
        self.difference.ended.connect(self.end_comparison)

    # ---- what comes in

    def take_reports(self, reports: list[StepReport]) -> None:
        """Note what the steps say."""
        for report in reports:
            self.run.add_report(report)
        self.mark_stale()

    def _message(self, message: object) -> None:
        if isinstance(message, EvalReport):
            self.run.add_evaluation(message.metrics)
            self.mark_stale()

    def _test_measured(self, step: int, psnr: float) -> None:
        """Put it where the snapshot was taken, which is some steps back."""
        times = next((curve.points() for key, curve in self.run.curves.items() if key[0] == LOSS), None)
        if times is None or not len(times) or step > self.run.step:
            return
        seconds = float(np.interp(step, times[:, 0], times[:, 1]))
        if self.run.add_preview(step, seconds, psnr):
            values = {"step": step, "seconds": round(seconds, 3), "psnr": psnr}
            self.studio.call(lambda session: session.project.log(MEASURED, values))  # there when the run is reopened
            self.mark_stale()

    def _session_changed(self, session: Any) -> None:
        if session is None or session is self._session():
            return  # a closed run can still be looked at, until the next one or until its photos are closed
        session_ref = self._session = weakref.ref(session)
        self._forget()
        path = Path(session.project.folder) / "log.jsonl"

        def work(handle: ProgressHandle) -> RunCurves:
            return read_log(path, lambda: handle.report(-1.0, ""))

        def done(earlier: RunCurves) -> None:
            if self._session is session_ref and earlier.curves:
                earlier.continued(self.run)
                self.run = earlier
                self.mark_stale()

        self.studio.background("", work, done, lambda error: None)

    def _state_changed(self, state: str) -> None:
        if state == "empty":
            self._session = lambda: None
            self._forget()

    def _forget(self) -> None:
        self.run = RunCurves()
        if self.other is None:
            self.tree.forget()
        self.mark_stale()

    # ---- drawing

    def mark_stale(self) -> None:
        """Draw again soon, where the panel can be seen."""
        if self.isVisible() and not self._clock.isActive():
            pause = min(max(REDRAW_SECONDS, 20 * self._cost), SLOWEST)
            left = self._drawn_at + pause - time.monotonic()
            self._clock.start(max(0, round(1000 * min(left, pause))))

    def showEvent(self, event) -> None:
        """Draw what came while the panel was hidden."""
        super().showEvent(event)
        self.mark_stale()

    def _redraw_shown(self) -> None:
        if self.isVisible():  # else it is drawn when it is shown
            self.redraw()

    def redraw(self) -> None:
        """Draw now."""
        since = time.monotonic()
        keys = self.run.keys()
        if self.other is not None:
            keys += [key for key in self.other.curves.keys() if key not in keys]
        self.pages.setCurrentWidget(self.splitter if keys else self.empty)
        for widget in (self.axis, self.smooth, self.logarithmic, self.fit, self.export):
            widget.setEnabled(bool(keys))
        self.tree.show_keys(keys)
        self.tree.show_values({key: curve.last for key, curve in self.run.curves.items()})
        self.view.smoothing = self.smooth.value() / 100
        other = self.other
        name = other.name if other is not None else ""
        whole = self.view.show_runs(self.tree.chosen(), self.run, other.curves if other is not None else None, name)
        self._drawn_at = time.monotonic()
        self._cost = self._drawn_at - since
        self.drawings += 1
        self._clock.stop()
        if not whole and self.isVisible():
            self._clock.start(20)

    def _set_axis(self) -> None:
        self.view.set_axis(self.axis.currentData())
        self.mark_stale()

    def _set_logarithmic(self, logarithmic: bool) -> None:
        self.view.set_logarithmic(logarithmic)
        self.redraw()

    # ---- another run

    def _ask_other(self) -> None:
        start = str(self.studio.project.parent) if self.studio.project is not None else ""
        chosen = QFileDialog.getExistingDirectory(self, "Compare with the run in this project folder", start)
        if chosen:
            self.compare_with(Path(chosen))

    def compare_with(self, folder: Path) -> None:
        """Draw the run of a project folder over this one; what is wrong with the folder goes to `studio.failed`."""
        self.studio.background("Reading the other run", lambda handle: read_run(folder, handle), self._take_other)

    def _take_other(self, other: OtherRun) -> None:
        self.other = other
        if self.side.indexOf(self.difference) < 0:
            place = self.side.addTab(self.difference, "Recipe")
            self.side.setTabToolTip(place, "The options in which the two runs differ")
        self.side.setCurrentWidget(self.difference)
        self._show_difference()
        self.view.see_everything()
        self.mark_stale()

    def end_comparison(self) -> None:
        """Remove the other run."""
        self.other = None
        self.side.removeTab(self.side.indexOf(self.difference))
        self.tree.forget()
        self.mark_stale()

    def _show_difference(self) -> None:
        if self.other is not None:
            self.difference.show_difference(self.studio.recipe, self.other)

    # ---- export

    def _ask_csv(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the curves", "curves.csv", "Numbers (*.csv)")
        if chosen:
            self.export_csv(Path(chosen))

    def _ask_png(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the plots", "plots.png", "Picture (*.png)")
        if chosen:
            self.export_png(Path(chosen))

    def export_csv(self, path: Path) -> None:
        """Write the ticked curves as rows of run, group, curve, step, seconds, value."""
        runs = [("this run", self.run)] + ([(self.other.name, self.other.curves)] if self.other is not None else [])
        keys: list[Key] = self.tree.chosen()
        tables = [
            (name, key, curves.curves[key].points()) for name, curves in runs for key in keys if key in curves.curves
        ]

        def work(handle: ProgressHandle) -> None:
            partial = path.with_name(path.name + ".partial")
            try:
                with open(partial, "w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file)
                    writer.writerow(["run", "group", "curve", "step", "seconds", "value"])
                    for name, (group, curve), points in tables:
                        handle.report(-1.0, curve)
                        writer.writerows([name, group, curve, f"{s:g}", f"{t:.3f}", f"{v:.9g}"] for s, t, v in points)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)

        self.studio.background("Saving the curves", work, lambda _: self.studio.notice(f"curves saved as {path}"))

    def export_png(self, path: Path) -> None:
        """Write the plots as they are drawn now."""
        picture = self.view.grab().toImage()

        def work(handle: ProgressHandle) -> None:
            handle.report(-1.0, path.name)
            if not picture.save(str(path), "PNG"):
                raise OSError(0, "The picture cannot be written", str(path))

        self.studio.background("Saving the plots", work, lambda _: self.studio.notice(f"plots saved as {path}"))


def _button(name: str, text: str, tool_tip: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(name)
    button.setText(text)
    button.setToolTip(tool_tip)
    return button
