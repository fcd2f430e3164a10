"""The drawing area of the plots: one plot per group of curves, side by side, with pan, zoom and values read out."""

from __future__ import annotations

import html
import math
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from app.window.curve_tree import number_text
from app.window.curves import GROUPS, PSNR, UNITS, Key, RunCurves, smoothed, stage_starts, thinned, value_at
from app.window.number_axis import NumberAxis

DASHED_POINTS = 160  # of a curve of the other run
WIDEST = 12  # values in one read-out
STEP, SECONDS = 0, 1  # columns of a curve's points, which the x axis may show
LOWEST = 130  # pixels of a plot, below which stages are not named
STAGE_COVERS, VALUES_COVER = 150, 225  # of 255: what shows less of a curve below words
TITLE = 20  # pixels, height of a plot's title
PLOT = 230, 130  # pixels, width and height of a plot that reads well
SMALLEST = 170, 90  # pixels, of one that can still be read; where there is less room, the plots scroll


def columns(count: int, width: float, height: float) -> int:
    """How many of `count` plots stand side by side, so that they read best and leave little of the area empty; as many
    as read well where even the smallest do not fit."""

    def worth(across: int) -> tuple[float, int]:
        down = math.ceil(count / across)
        wide, high = width / across, height / down
        if wide < SMALLEST[0] or high < SMALLEST[1]:
            return 0.0, 0
        return min(wide / PLOT[0], 1) * min(high / PLOT[1], 1) * count / (across * down), across

    if not count:
        return 1
    best = max(range(1, count + 1), key=worth)
    if worth(best)[0] > 0:
        return best
    return max(1, min(count, int(width // PLOT[0])))


class PlotView(pg.GraphicsLayoutWidget):
    """Draws the chosen curves of a run, and dashed those of another."""

    def __init__(self, color_of: Callable[[Key], QColor], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("plot_view")
        self.setAccessibleName("Plots")
        self.setToolTip("Drag to pan, wheel to zoom, right button drag to stretch, double click to see everything")
        self.setMinimumSize(160, 100)
        self.color_of = color_of
        self.column, self.smoothing, self.logarithmic = STEP, 0.0, False
        self.plots: dict[str, pg.PlotItem] = {}  # those made so far
        self.shown: list[str] = []
        self._lines: dict[str, dict[tuple, pg.PlotDataItem]] = {}
        self._marks: dict[str, list[pg.InfiniteLine]] = {}
        self._cursors: dict[str, pg.InfiniteLine] = {}
        self._values: dict[str, pg.TextItem] = {}
        self._points: dict[str, list[tuple[str, Key, np.ndarray]]] = {}
        self._columns = 1
        self.room = QSize(PLOT[0], PLOT[1])
        self._mouse = pg.SignalProxy(self.scene().sigMouseMoved, rateLimit=30, slot=self._hover)
        self.ci.setContentsMargins(2, 0, 6, 2)
        self.ci.setSpacing(2)
        self._take_palette()

    def show_runs(self, keys: list[Key], run: RunCurves, other: RunCurves | None, other_name: str = "") -> bool:
        """Draw the curves `keys` of `run`, and of `other` where there is one.

        False where it only made a plot that was missing, which takes tens of milliseconds: call again.
        """
        runs = [("", run)] + ([(other_name or "other run", other)] if other is not None else [])
        wanted = [group for group in GROUPS if any(key[0] == group for key in keys)]
        missing = [group for group in wanted if group not in self.plots]
        if missing:
            self._make_plot(missing[0])
            return False
        if wanted != self.shown:
            self.shown = wanted
            self._place()
        self._points = {group: [] for group in wanted}
        for group in wanted:
            lines, seen = self._lines[group], set()
            for name, curves in runs:
                for key in keys:
                    curve = curves.curves.get(key)
                    if key[0] != group or curve is None or not len(curve):
                        continue
                    points = curve.points()
                    self._points[group].append((name, key, points))
                    seen |= self._draw(group, name, key, points, stage_starts(points, curves))
            for gone in set(lines) - seen:
                self.plots[group].removeItem(lines.pop(gone))
            self._mark_stages(group, run)
        return True

    def see_everything(self) -> None:
        """Fit all plots to their curves and follow them from now on."""
        for plot in self.plots.values():
            plot.enableAutoRange()

    def mouseDoubleClickEvent(self, event) -> None:
        """See everything."""
        self.see_everything()
        event.accept()

    def leaveEvent(self, event) -> None:
        """Without the cursor there is nothing to read out."""
        self._hide_cursors()
        super().leaveEvent(event)

    def take_room(self, room: QSize) -> None:
        """Keep plots large enough to read in so much room, whatever their own height becomes."""
        self.room = room
        if self.shown and columns(len(self.shown), room.width(), room.height()) != self._columns:
            self._place()
        else:
            self._name()

    def changeEvent(self, event) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "plots"):
            self._take_palette()

    def _take_palette(self) -> None:
        palette = self.palette()
        ground, ink = palette.color(QPalette.ColorRole.Base), palette.color(QPalette.ColorRole.Text)
        self.setBackground(ground)
        for group, plot in self.plots.items():
            self._ink(group, plot, ink)
        self._name()

    def _ink(self, group: str, plot: pg.PlotItem, ink: QColor) -> None:
        for side in ("left", "bottom"):
            axis = plot.getAxis(side)
            axis.setPen(ink)
            axis.setTextPen(ink)
        unit = UNITS[group]
        plot.setTitle(f"{group}, {unit}" if unit else group, color=ink.name(), size="9pt")
        plot.titleLabel.setMaximumHeight(TITLE)
        plot.layout.setRowFixedHeight(0, TITLE)  # less than pyqtgraph's own, for the curves' sake
        faint = self._faint_ink()
        self._cursors[group].setPen(pg.mkPen(faint))
        for mark in self._marks[group]:
            mark.setPen(pg.mkPen(faint, style=Qt.PenStyle.DotLine))
            if hasattr(mark, "label"):
                mark.label.setColor(faint)
                mark.label.fill = pg.mkBrush(self._ground(STAGE_COVERS))
        self._values[group].setColor(ink)
        self._values[group].fill = pg.mkBrush(self._ground(VALUES_COVER))

    def _ground(self, alpha: int) -> QColor:
        """Behind words that lie over curves."""
        ground = QColor(self.palette().color(QPalette.ColorRole.Base))
        ground.setAlpha(alpha)
        return ground

    def _faint_ink(self) -> QColor:
        ink = QColor(self.palette().color(QPalette.ColorRole.Text))
        ink.setAlpha(120)
        return ink

    def _make_plot(self, group: str) -> None:
        plot = pg.PlotItem(axisItems={"left": NumberAxis("left"), "bottom": NumberAxis("bottom")})
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.showGrid(x=True, y=True, alpha=0.15)
        plot.setLogMode(False, self._is_logarithmic(group))
        plot.getAxis("left").setWidth(52)
        cursor = pg.InfiniteLine(angle=90, movable=False)
        values = pg.TextItem(anchor=(0, 0))
        values.setZValue(10)
        for item in (cursor, values):
            item.setVisible(False)
            plot.addItem(item, ignoreBounds=True)
        if self.plots:
            plot.setXLink(next(iter(self.plots.values())))
        self.plots[group], self._lines[group], self._marks[group] = plot, {}, []
        self._cursors[group], self._values[group] = cursor, values
        self._ink(group, plot, self.palette().color(QPalette.ColorRole.Text))

    def _is_logarithmic(self, group: str) -> bool:
        return self.logarithmic and group != PSNR  # decibels are logarithms already

    def _rows(self) -> int:
        return math.ceil(len(self.shown) / self._columns)

    def _place(self) -> None:
        grid = self.ci.layout  # filled here and not by `ci.addItem`, which lays everything out after each
        for place in reversed(range(grid.count())):
            grid.removeAt(place)
        self._columns = columns(len(self.shown), self.room.width(), self.room.height())
        self.setMinimumHeight(max(100, SMALLEST[1] * self._rows()))
        for group, plot in self.plots.items():
            plot.setVisible(group in self.shown)
        for place, group in enumerate(self.shown):
            grid.addItem(self.plots[group], place // self._columns, place % self._columns)
        self._name()
        grid.activate()

    def _name(self) -> None:
        """Say below the lowest plots what the x axis is, and name the stages, where plots are high enough."""
        ink = self.palette().color(QPalette.ColorRole.Text).name()
        high = max(self.room.height(), self.minimumHeight()) >= LOWEST * self._rows()
        for place, group in enumerate(self.shown):
            lowest = place + self._columns >= len(self.shown)
            axis = self.plots[group].getAxis("bottom")
            axis.setLabel("step" if self.column == STEP else "seconds", **{"font-size": "8pt", "color": ink})
            axis.showLabel(high and lowest)
            for mark in self._marks[group]:
                if hasattr(mark, "label"):
                    mark.label.setVisible(high)

    def _draw(self, group: str, name: str, key: Key, points: np.ndarray, starts: list[int]) -> set[tuple]:
        color, style = self.color_of(key), Qt.PenStyle.SolidLine
        if name and len(points) > 1:  # dashes cannot be seen on noise
            points, starts = thinned(points, starts, DASHED_POINTS)
            style = Qt.PenStyle.DashLine
        place, values = points[:, self.column], points[:, 2]
        if len(points) == 1:
            self._line(group, (name, key, "dot")).setData(
                place, values, pen=None, symbol="d" if name else "o", symbolSize=8, symbolPen=color, symbolBrush=color
            )
            return {(name, key, "dot")}
        drawn = {(name, key, "line")}
        if self.smoothing > 0 and not name:
            pale = QColor(color)
            pale.setAlpha(60)
            self._set_line(group, (name, key, "raw"), place, values, starts, pg.mkPen(pale, style=style))
            drawn.add((name, key, "raw"))
        values = smoothed(values, self.smoothing, starts)
        self._set_line(group, (name, key, "line"), place, values, starts, pg.mkPen(color, width=1.5, style=style))
        return drawn

    def _set_line(self, group: str, which: tuple, place, values, starts: list[int], pen) -> None:
        """Stages are not joined: their losses mean different things."""
        joined = np.ones(len(values), dtype=np.int32)
        joined[[start - 1 for start in starts if start]] = 0
        if self._is_logarithmic(group):
            values = np.where(values > 0, values, np.nan)
            joined[~np.isfinite(values)] = 0
            joined[:-1][~np.isfinite(values[1:])] = 0
            if not np.isfinite(values).any():  # pyqtgraph cannot draw nothing with joints
                place, values, joined = place[:0], values[:0], joined[:0]
        self._line(group, which).setData(place, values, pen=pen, connect=joined)

    def _line(self, group: str, which: tuple) -> pg.PlotDataItem:
        lines = self._lines[group]
        if which not in lines:
            lines[which] = pg.PlotDataItem()
            if which[0]:  # as one path: dashes would begin anew at each point
                lines[which].curve.setSegmentedLineMode("off")
            lines[which].setLogMode(False, self._is_logarithmic(group))
            self.plots[group].addItem(lines[which])
        return lines[which]

    def _mark_stages(self, group: str, run: RunCurves) -> None:
        plot, marks = self.plots[group], self._marks[group]
        places = [(name, step if self.column == STEP else seconds) for name, step, seconds in run.stages]
        named = [self._has_room(index, places, run) for index in range(len(places))]
        if [(mark.toolTip(), mark.value(), hasattr(mark, "label")) for mark in marks] == [
            (name, place, wide) for (name, place), wide in zip(places, named, strict=True)
        ]:
            return
        for mark in marks:
            plot.removeItem(mark)
        ink, ground = self._faint_ink(), self._ground(STAGE_COVERS)
        look = {"position": 0.97, "color": ink, "fill": ground, "rotateAxis": (1, 0), "anchors": [(1, 0), (1, 0)]}
        marks.clear()
        for (name, place), wide in zip(places, named, strict=True):
            mark = pg.InfiniteLine(
                place,
                angle=90,
                pen=pg.mkPen(ink, style=Qt.PenStyle.DotLine),
                label=name if wide else None,
                labelOpts=look,
            )
            mark.setToolTip(name)
            mark.setZValue(5)  # before the curves, which its name would be lost behind
            marks.append(mark)
            plot.addItem(mark, ignoreBounds=True)
        self._name()

    def _has_room(self, index: int, places: list[tuple[str, float]], run: RunCurves) -> bool:
        """Whether a stage is long enough to be named; of those without steps the one after them is."""
        reach = run.step if self.column == STEP else run.seconds
        following = places[index + 1][1] if index + 1 < len(places) else reach
        return following - places[index][1] > max(reach * 0.06, 2)

    def _hover(self, event: tuple) -> None:
        where: QPointF = event[0]
        for plot in map(self.plots.get, self.shown):
            if plot.sceneBoundingRect().contains(where):
                self.read_out(plot.getViewBox().mapSceneToView(where).x())
                return
        self._hide_cursors()

    def _hide_cursors(self) -> None:
        for item in (*self._cursors.values(), *self._values.values()):
            item.setVisible(False)

    def read_out(self, place: float) -> dict[str, str]:
        """Show the values at a place of the x axis in every plot; the texts by group."""
        texts = {}
        for group in self.shown:
            (left, right), (_, top) = self.plots[group].viewRange()
            rows = []
            for name, key, points in self._points.get(group, []):
                value = value_at(points, place, self.column) if len(points) > 1 else float(points[0, 2])
                if math.isfinite(value):
                    label = html.escape(f"{key[1]}, {name}" if name else key[1])
                    swatch = f'<span style="color:{self.color_of(key).name()}">■</span>'
                    rows.append(f"{swatch} {label} {number_text(value)}")
            where = f"step {place:.0f}" if self.column == STEP else f"{place:.1f} s"
            texts[group] = "<br>".join([f"<b>{where}</b>", *rows[:WIDEST]])
            within = left <= place <= right
            self._cursors[group].setValue(place)
            self._cursors[group].setVisible(within)
            box = self._values[group]
            box.setHtml(f'<div style="font-size:8pt">{texts[group]}</div>')
            box.setVisible(bool(rows) and within)
            pixel = self.plots[group].getViewBox().viewPixelSize()[0]
            width = box.boundingRect().width() * pixel
            beside = place + 6 * pixel if place < (left + right) / 2 else place - width - 6 * pixel
            box.setPos(max(left, min(beside, right - width)), top)
        return texts

    def set_axis(self, column: int) -> None:
        """Put step or seconds on the x axis."""
        self.column = column
        self._name()
        self.see_everything()

    def set_logarithmic(self, logarithmic: bool) -> None:
        """Give the y axis a logarithmic scale; values that are not positive are left out."""
        self.logarithmic = logarithmic
        for group, plot in self.plots.items():
            for line in self._lines[group].values():  # drawn anew: joints of what has no logarithm cannot stay
                plot.removeItem(line)
            self._lines[group].clear()
            plot.setLogMode(False, self._is_logarithmic(group))
            plot.setYRange(0, 1)
            plot.enableAutoRange()


class PlotArea(QScrollArea):
    """The plots, scrolled where they cannot be read in the room there is."""

    def __init__(self, view: PlotView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("plot_area")
        self.setAccessibleName("Plots, scrolled")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        self.setMinimumSize(view.minimumWidth() + self.verticalScrollBar().sizeHint().width(), 100)
        self.view = view
        self.setWidget(view)

    def resizeEvent(self, event) -> None:
        """The room does not depend on whether there is a scroll bar, else the two would change each other for ever."""
        super().resizeEvent(event)
        self.view.take_room(self.maximumViewportSize())
