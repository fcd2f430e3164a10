"""A session's messages as a progress bar on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from app.decibels import decibels
from app.duration import duration
from engine.optimize import messages

PLAIN_INTERVAL = 5.0  # seconds between two plain lines of the same stage


class _Speed:
    """Steps per second of the running stage, smoothed, and the time left at that speed."""

    def __init__(self) -> None:
        self.stage, self.rate, self.last = "", 0.0, 0.0

    def update(self, report: messages.StepReport) -> tuple[float, float]:
        now = time.monotonic()
        if report.stage != self.stage:
            self.stage, self.rate = report.stage, 0.0
        elif now > self.last:
            latest = 1 / (now - self.last)
            self.rate = latest if self.rate == 0 else 0.9 * self.rate + 0.1 * latest
        self.last = now
        return self.rate, (report.total_steps - report.total_step) / self.rate if self.rate else 0.0


def described(report: messages.StepReport, rate: float, left: float) -> str:
    """One step in words: loss, PSNR, steps per second, time left."""
    psnr = f", {decibels(report.psnr)}" if report.psnr is not None else ""
    speed = f", {rate:.1f} steps/s, {duration(left)} left" if rate else ""
    return f"loss {report.loss:.4f}{psnr}{speed}"


class PlainProgress:
    """One line now and then, for logs and pipes."""

    def __init__(self) -> None:
        self.speed, self.shown, self.text = _Speed(), time.monotonic(), ""

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_) -> None:
        sys.stdout.flush()

    def __call__(self, message: messages.Message) -> None:
        match message:
            case messages.StepReport(steps=steps) if steps:
                rate, left = self.speed.update(message)
                if time.monotonic() - self.shown >= PLAIN_INTERVAL or message.step == steps:
                    self._print(f"{message.stage} {message.step}/{steps}: {described(message, rate, left)}")
            case messages.Progress(text=text) if text and text != self.text and self._is_due(message.stage):
                self.text = text
                self._print(f"{message.stage}: {text}")
            case messages.Notice():
                self._print(f"{'warning: ' if message.level == 'warning' else ''}{message.text}")
            case messages.StageChanged(state="begin"):
                self._print(f"stage {message.index + 1} of {message.count}: {message.stage}")

    def reading(self, done: int, total: int, name: str) -> None:
        """Report photographs that are read before the first stage."""
        if done == total or time.monotonic() - self.shown >= PLAIN_INTERVAL:
            self._print(f"photos {done}/{total}")

    def posing(self, done: float, text: str) -> None:
        """Report how far the search for camera poses is, 0 to 1."""
        if time.monotonic() - self.shown >= PLAIN_INTERVAL:
            self._print(f"poses {done:.0%}: {text}")

    def _is_due(self, stage: str) -> bool:
        """Everything a stage says, but only some of the many views of an evaluation."""
        return stage != "evaluate" or time.monotonic() - self.shown >= PLAIN_INTERVAL

    def _print(self, line: str) -> None:
        self.shown = time.monotonic()
        print(line, flush=True)


class BarProgress:
    """A bar per stage with step, loss, PSNR, steps per second and time left."""

    def __init__(self) -> None:
        self.speed = _Speed()
        self.bar = Progress(
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(),
        )
        self.task = None

    def __enter__(self) -> BarProgress:
        self.bar.__enter__()
        return self

    def __exit__(self, *details) -> None:
        self.bar.__exit__(*details)

    def _show(self, stage: str, done: float, total: float, text: str) -> None:
        if self.task is None or self.bar.tasks[-1].description != stage:
            self.task = self.bar.add_task(stage, total=total, text="")
        self.bar.update(self.task, completed=done, total=total, text=text)

    def __call__(self, message: messages.Message) -> None:
        match message:
            case messages.StepReport(steps=steps) if steps:
                text = described(message, *self.speed.update(message))
                self._show(message.stage, message.step, steps, text)
            case messages.Progress():
                self._show(message.stage, 100 * message.done, 100, message.text)
            case messages.Notice():
                line = f"{'warning: ' if message.level == 'warning' else ''}{message.text}"
                self.bar.console.print(line, markup=False, highlight=False)

    def reading(self, done: int, total: int, name: str) -> None:
        """Report photographs that are read before the first stage."""
        self._show("photos", done, total, name)

    def posing(self, done: float, text: str) -> None:
        """Report how far the search for camera poses is, 0 to 1."""
        self._show("poses", 100 * done, 100, text)


def progress() -> PlainProgress | BarProgress:
    """The bar on a terminal, plain lines elsewhere."""
    return BarProgress() if sys.stdout.isatty() else PlainProgress()
