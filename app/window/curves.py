"""What a run has told in numbers, as curves in bounded memory: thinned out by averaging neighbours; knows no Qt."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.optimize.messages import StepReport

CAPACITY = 2048  # points kept per curve; even, so that neighbours pair up
MAX_CURVES = 200  # names that a script may invent, at most
LOSS, PSNR, RATE, TIME, MESH, SURFACE = "Loss", "PSNR", "Learning rate", "Time per step", "Mesh", "Iso-surface"
SPLATS, SIZE, OTHER = "Splats", "Size of the splats", "Other"
GROUPS = (LOSS, PSNR, SPLATS, SIZE, RATE, TIME, MESH, SURFACE, OTHER)
UNITS = {LOSS: "", PSNR: "dB", RATE: "", TIME: "ms", MESH: "count", SURFACE: "loss"}
UNITS |= {SPLATS: "count", SIZE: "MB", OTHER: ""}
TERMS = {  # what stands among the loss terms and is shown elsewhere
    "l_dev": (SURFACE, "deviation"),
    "entropy": (SURFACE, "entropy"),
}
FIGURES = {  # where a stage's own figures are shown; others under OTHER
    "splats": (SPLATS, "splats"),
    "budget": (SPLATS, "budget"),
    "megabytes": (SIZE, "megabytes"),
    "faces": (MESH, "faces"),
}
TRAIN_PHOTOS, PREVIEW, TEST_PHOTOS = "training", "test, preview", "test, final"  # photos and what is compared
MEASURED = "TestMeasured"  # a line of the log that the window writes: `step`, `seconds` and `psnr` of the test photos

Key = tuple[str, str]  # (group, name)


class Curve:
    """Values over steps and seconds; once full, each two neighbours become their mean, and so do later samples."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._points = np.empty((capacity, 3), dtype=np.float64)  # step, seconds, value
        self._count, self._stride = 0, 1
        self._sum, self._gathered = np.zeros(3), 0
        self.last = math.nan

    def __len__(self) -> int:
        return self._count + (self._gathered > 0)

    @property
    def nbytes(self) -> int:
        """Memory of the points."""
        return self._points.nbytes

    def add(self, step: float, seconds: float, value: float) -> None:
        """One sample; what is not finite is left out."""
        if not (math.isfinite(value) and math.isfinite(seconds)):
            return
        self.last = value
        self._sum += (step, seconds, value)
        self._gathered += 1
        if self._gathered >= self._stride:
            self._points[self._count] = self._sum / self._gathered
            self._count += 1
            self._sum[:] = 0
            self._gathered = 0
            if self._count == len(self._points):
                self._halve()

    def _halve(self) -> None:
        half = self._count // 2
        self._points[:half] = (self._points[0 : 2 * half : 2] + self._points[1 : 2 * half : 2]) / 2
        self._count, self._stride = half, self._stride * 2

    def points(self) -> np.ndarray:
        """[N,3] float64: step, seconds, value; a copy, the newest sample included."""
        kept = self._points[: self._count]
        if self._gathered:
            return np.concatenate([kept, self._sum[None] / self._gathered])
        return kept.copy()

    def forget_from(self, step: float) -> None:
        """Drop points at or after a step: the run went back."""
        self._count = int(np.searchsorted(self._points[: self._count, 0], step, "left"))
        self._sum[:] = 0
        self._gathered = 0
        self.last = float(self._points[self._count - 1, 2]) if self._count else math.nan


class RunCurves:
    """All curves of a run, and where its stages began."""

    def __init__(self) -> None:
        self.curves: dict[Key, Curve] = {}
        self.stages: list[tuple[str, float, float]] = []  # name, step, seconds
        self.version = 0  # grows with every change
        self.step, self.seconds = 0.0, 0.0  # of the newest report

    @property
    def nbytes(self) -> int:
        """Memory of all points."""
        return sum(curve.nbytes for curve in self.curves.values())

    def keys(self) -> list[Key]:
        """The curves there are, by group, in the order they first came."""
        return sorted(self.curves, key=lambda key: GROUPS.index(key[0]))

    def add(self, group: str, name: str, step: float, seconds: float, value: float) -> None:
        """One sample of one curve."""
        curve = self.curves.get((group, name))
        if curve is None:
            if len(self.curves) >= MAX_CURVES or not math.isfinite(value):
                return
            curve = self.curves[(group, name)] = Curve()
        curve.add(step, seconds, value)
        self.version += 1

    def add_report(self, report: StepReport | Any) -> None:
        """Everything a step says; a step number that was there before means that the run went back to it."""
        step, seconds = float(report.total_step), float(report.seconds)
        if step < self.step or (report.steps and step == self.step and report.step):
            self.forget_from(step)
        self.step, self.seconds = step, seconds
        if not self.stages or self.stages[-1][0] != report.stage:
            self.stages.append((report.stage, step, seconds))
            self.version += 1
        if report.steps and report.step:
            self.add(LOSS, "total", step, seconds, report.loss)
            for name, value in report.terms.items():
                group, shown = TERMS.get(name, (LOSS, name.replace("_", " ")))
                self.add(group, shown, step, seconds, value)
            if report.psnr is not None:
                self.add(PSNR, TRAIN_PHOTOS, step, seconds, report.psnr)
        for name, value in getattr(report, "learning_rates", {}).items():
            self.add(RATE, name.replace("_", " "), step, seconds, value)
        if report.steps:
            for name, value in getattr(report, "timings", {}).items():
                self.add(TIME, name.replace("_", " "), step, seconds, 1000 * value)
        for name, value in getattr(report, "figures", {}).items():
            self.add(*FIGURES.get(name, (OTHER, name.replace("_", " "))), step, seconds, value)
        for name, value in getattr(report, "mesh", {}).items():
            self.add(MESH, name.replace("_", " ").replace("non manifold", "non-manifold"), step, seconds, value)

    def add_evaluation(self, metrics: dict[str, Any]) -> None:
        """The finished model's PSNR over the test photos."""
        value = metrics.get("psnr")
        if isinstance(value, (int, float)):
            self.curves.pop((PSNR, TEST_PHOTOS), None)
            self.add(PSNR, TEST_PHOTOS, self.step, self.seconds, float(value))

    def add_preview(self, step: float, seconds: float, psnr: float) -> bool:
        """The mean PSNR of the test photos at a step; whether it was news."""
        known = self.curves.get((PSNR, PREVIEW))
        if not math.isfinite(psnr) or (known is not None and len(known) and known.points()[-1, 0] >= step):
            return False
        self.add(PSNR, PREVIEW, step, seconds, psnr)
        return True

    def forget_from(self, step: float) -> None:
        """Drop everything at or after a step."""
        for curve in self.curves.values():
            curve.forget_from(step)
        self.curves = {key: curve for key, curve in self.curves.items() if len(curve)}
        self.stages = [stage for stage in self.stages if stage[1] < step or (step == 0 and stage[1] <= 0)]
        self.version += 1

    def continued(self, newer: RunCurves) -> None:
        """Append a run's later curves to these earlier ones."""
        final = newer.curves.get((PSNR, TEST_PHOTOS))
        if final is not None and (PSNR, TEST_PHOTOS) in self.curves and not newer.step:
            newer.curves.pop((PSNR, TEST_PHOTOS))  # told again when a finished run was opened: it is not of step 0
        starts = [curve.points()[0, 0] for curve in newer.curves.values() if len(curve)]
        if starts:
            self.forget_from(min(starts))
        for (group, name), curve in newer.curves.items():
            for step, seconds, value in curve.points():
                self.add(group, name, step, seconds, value)
        known = {stage[0] for stage in self.stages}
        self.stages += [stage for stage in newer.stages if stage[0] not in known]
        self.step, self.seconds = max(self.step, newer.step), max(self.seconds, newer.seconds)
        self.version += 1


class _Logged:
    """A step report as a line of the log has it; older logs lack some of it."""

    def __init__(self, line: dict[str, Any]) -> None:
        self.stage = str(line["stage"])
        self.step, self.steps, self.total_step = int(line["step"]), int(line["steps"]), int(line["total_step"])
        self.seconds, self.loss = float(line["seconds"]), float(line["loss"])
        self.psnr = None if line.get("psnr") is None else float(line["psnr"])
        for name in ("terms", "learning_rates", "timings", "figures", "mesh"):
            values = line.get(name) or {}
            setattr(self, name, {str(key): float(value) for key, value in values.items()})


def read_log(path: Path, look: Callable[[], None] = lambda: None) -> RunCurves:
    """The curves of a project's log.jsonl; damaged lines are passed over, a missing file has no curves.

    `look` is called now and then and may raise, to end the reading.
    """
    run = RunCurves()
    for number, line in enumerate(_lines(path)):
        if number % 200 == 0:
            look()
        try:
            content = json.loads(line)
            if content["kind"] == "StepReport":
                run.add_report(_Logged(content))
            elif content["kind"] == "EvalReport":
                run.add_evaluation(content["metrics"])
            elif content["kind"] == MEASURED:
                run.add_preview(*(float(content[name]) for name in ("step", "seconds", "psnr")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return run


def _lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError:
        return


def stage_starts(points: np.ndarray, run: RunCurves) -> list[int]:
    """Indices into a curve's points [N,3] at which a stage of the run begins, the first of them 0."""
    steps = [step for _, step, _ in run.stages]
    return sorted({0, *(int(start) for start in np.searchsorted(points[:, 0], steps) if start < len(points))})


def smoothed(values: np.ndarray, amount: float, starts: list[int] | None = None) -> np.ndarray:
    """`values` [N] averaged twice over a window that grows with `amount` (0 none, 1 a quarter of the curve); parts
    that begin at `starts` stay apart."""
    half = round(amount**2 * len(values) / 8)
    if not half:
        return values
    starts = starts or [0]
    parts = [values[start:end] for start, end in zip(starts, [*starts[1:], len(values)], strict=True)]
    return np.concatenate([_box_mean(_box_mean(part, half), half) for part in parts])


def _box_mean(values: np.ndarray, half: int) -> np.ndarray:
    """The window shrinks toward both ends and stays centred, so that a slope remains one."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    reach = np.minimum(half, np.minimum(place, place[::-1]))
    return (total[place + reach + 1] - total[place - reach]) / (2 * reach + 1)


def thinned(points: np.ndarray, starts: list[int], count: int) -> tuple[np.ndarray, list[int]]:
    """About `count` points in place of [N,3], means of neighbours of the same stage, and where stages begin now."""
    share = max(1, math.ceil(len(points) / count))
    parts, begins = [], []
    for start, end in zip(starts, [*starts[1:], len(points)], strict=True):
        begins.append(sum(map(len, parts)))
        edges = np.arange(start, end, share)
        parts.append(np.add.reduceat(points[:end], edges) / np.diff([*edges, end])[:, None])
    return np.concatenate(parts), begins


def value_at(points: np.ndarray, place: float, column: int) -> float:
    """The value nearest to `place` on the axis `column` (0 step, 1 seconds); NaN outside of the curve."""
    axis = points[:, column]
    if not len(axis) or not axis[0] <= place <= axis[-1]:
        return math.nan
    right = min(int(np.searchsorted(axis, place)), len(axis) - 1)
    left = max(right - 1, 0)
    return float(points[left if place - axis[left] < axis[right] - place else right, 2])
