"""Run, pause, one step, run until, stop, revert; how far the stage and the run are, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.decibels import decibels
from app.duration import duration
from app.window.actions import action
from app.window.icons import icon
from app.window.painted import ProgressBar
from app.window.progress_words import progress_words
from engine.optimize.messages import EvalReport, Progress, StageChanged, StepReport

if TYPE_CHECKING:
    from app.window.studio import Studio

START = "Start, or go on"
WIDE = 1180  # pixels from which buttons have text beside their icon


class Pace:
    """Steps per second of the running stage, smoothed, and the time left at that speed."""

    def __init__(self) -> None:
        self.stage, self.rate = "", 0.0
        self._last: StepReport | None = None

    def update(self, report: StepReport) -> float | None:
        """Seconds left in all; None while nothing is known."""
        last, self._last = self._last, report
        if report.stage != self.stage or last is None or report.total_step <= last.total_step:
            self.stage, self.rate = report.stage, 0.0
            return None
        if report.seconds > last.seconds:
            rate = (report.total_step - last.total_step) / (report.seconds - last.seconds)
            self.rate = rate if self.rate == 0 else 0.9 * self.rate + 0.1 * rate
        return (report.total_steps - report.total_step) / self.rate if self.rate else None


class RunControls(QWidget):
    """A row of buttons and two bars; `actions_` are also in the menu Run."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("run_controls")
        self.studio = studio
        self.leaving: Callable[[Callable[[], object]], None] = lambda then: then()  # asks, saves the run, does the rest
        self.pace = Pace()
        self._preparing = ""  # what is loaded or compiled
        self.actions_: dict[str, QAction] = {}
        self.buttons: dict[str, QToolButton] = {}
        self._make_actions()
        self.revert_menu = QMenu("Revert to checkpoint", self)
        self.revert_menu.setObjectName("revert_menu")
        self.revert_menu.setIcon(icon("revert"))
        self.revert_menu.setToolTipsVisible(True)
        self.revert_menu.aboutToShow.connect(self._list_checkpoints)
        self.until = QSpinBox()
        self.until.setObjectName("until_step")
        self.until.setAccessibleName("Step to run until")
        self.until.setRange(1, 10_000_000)
        self.until.setValue(100)
        self.until.setPrefix("step ")
        self.until.setToolTip("The step, counted from the start of the run, at which it pauses")
        self.stage_bar, self.run_bar = ProgressBar(), ProgressBar()
        self.left = QLabel()
        self._lay_out()
        studio.state_changed.connect(self._state)
        studio.held_changed.connect(lambda _: self._state(studio.state))
        studio.capture_changed.connect(lambda _: self._state(studio.state))
        studio.session_changed.connect(self._session)
        studio.steps_reported.connect(self._steps)
        studio.message_received.connect(self._message)
        self._state(studio.state)
        self._clear()

    def _make_actions(self) -> None:
        studio = self.studio
        add = self._add
        add("run", "Run", "F5", START, self._run)
        add("pause", "Pause", "F6", "Hold after the current step", studio.pause)
        add("step", "One step", "F10", "Take one step, then pause", studio.step_once)
        add("until", "Run until", "Ctrl+F5", "Go on until the step on the right, then pause", self._run_until)
        add("stop", "Stop", "Shift+F5", "Stop as soon as possible and save; Run goes on from there", studio.stop)
        tip = "Leave this run as it is and prepare another one with the same photos and recipe"
        self.actions_["new"] = action(self, "run_new", "New run", tip, self._new_run)

    def _add(self, name: str, text: str, keys: str, tip: str, call) -> None:
        made = action(self, f"run_{name}", text, tip, call, keys)
        made.setIcon(icon(name))
        made.setToolTip(f"{tip} ({keys})")
        self.actions_[name] = made

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 6, 0)
        row.setSpacing(2)
        for name in ("run", "pause", "step", "stop", "until"):
            button = QToolButton()
            button.setDefaultAction(self.actions_[name])
            button.setObjectName(f"button_{name}")
            button.setAutoRaise(True)
            button.setIconSize(QSize(20, 20))
            row.addWidget(button)
            self.buttons[name] = button
        row.addWidget(self.until)
        self.revert_button = QToolButton()
        self.revert_button.setObjectName("button_revert")
        self.revert_button.setText("Revert")
        self.revert_button.setIcon(icon("revert"))
        self.revert_button.setIconSize(QSize(20, 20))
        self.revert_button.setAutoRaise(True)
        self.revert_button.setToolTip("Go back to a checkpoint")
        self.revert_button.setMenu(self.revert_menu)
        self.revert_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        row.addWidget(self.revert_button)
        self.buttons["revert"] = self.revert_button
        row.addSpacing(8)
        bars = QVBoxLayout()
        bars.setSpacing(2)
        for bar, name, tip in (
            (self.stage_bar, "stage_bar", "This stage"),
            (self.run_bar, "run_bar", "The whole run"),
        ):
            bar.setObjectName(name)
            bar.setToolTip(tip)
            bar.setRange(0, 1000)
            bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            bar.setMinimumWidth(160)
            bars.addWidget(bar)
        row.addLayout(bars, 1)
        self.left.setObjectName("time_left")
        self.left.setToolTip("Time left at the present speed, and time taken")
        self.left.setMinimumWidth(self.left.fontMetrics().horizontalAdvance("00:00:00 left") + 8)
        self.left.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.left)

    def fill(self, menu: QMenu) -> None:
        """Add everything to the menu Run."""
        for name in ("run", "pause", "step", "stop"):
            menu.addAction(self.actions_[name])
        menu.addSeparator()
        menu.addAction(self.actions_["until"])
        menu.addMenu(self.revert_menu)
        menu.addSeparator()
        menu.addAction(self.actions_["new"])

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the text out where there is no room for it."""
        style = Qt.ToolButtonStyle
        wanted = style.ToolButtonTextBesideIcon if self.width() >= WIDE else style.ToolButtonIconOnly
        for button in self.buttons.values():
            if button.toolButtonStyle() != wanted:
                button.setToolButtonStyle(wanted)
        super().resizeEvent(event)

    def _run(self) -> None:
        if self.studio.state == "finished":
            self._leave(lambda: (self.studio.new_run(), self.studio.run()))
        else:
            self.studio.run()

    def _new_run(self) -> None:
        self._leave(self.studio.new_run)

    def _leave(self, then: Callable[[], object]) -> None:
        if self.studio.has_unsaved_steps:
            self.leaving(then)
        else:
            then()

    def _run_until(self) -> None:
        self.studio.run_until(self.until.value())

    # ---- what the studio says

    def _state(self, state: str) -> None:
        session = self.studio.session is not None
        waiting = state in ("ready", "paused", "failed")
        enabled = {
            "run": waiting or state == "finished",
            "pause": state == "running",
            "step": waiting,
            "until": waiting or state == "running",
            "stop": state == "running" or self.studio.held,
            "new": session and state in ("paused", "finished", "failed"),
        }
        for name, on in enabled.items():
            self.actions_[name].setEnabled(on)
        self.until.setEnabled(enabled["until"])
        self.revert_button.setEnabled(session)
        self.revert_menu.setEnabled(session)
        run = self.actions_["run"]
        run.setText({"paused": "Go on", "failed": "Try again", "finished": "Run again"}.get(state, "Run"))
        run.setToolTip(f"{self._run_tip(state)} (F5)")
        if state == "empty":
            self._clear()
        elif state == "opening":
            self._show(self.stage_bar, -1.0, "Opening")
        elif state == "ready":
            self._clear()
            self.stage_bar.setFormat("Ready to run")
        elif state == "running" and not session:
            self._show(self.stage_bar, -1.0, self._preparing or "Starting")
        elif state == "finished":
            self._show(self.stage_bar, 1.0, "Finished")
            self._show(self.run_bar, 1.0, "All stages are done")
            session = self.studio.session
            self.left.setText(f"took {duration(session.seconds)}" if session is not None else "")
        elif state in ("paused", "failed"):
            self._still("Paused" if state == "paused" else "Stopped by an error")
        if self.studio.held and state != "running":
            self.stage_bar.setFormat("A script holds the run; Stop ends it")

    def _run_tip(self, state: str) -> str:
        session = self.studio.session
        if state != "failed" or session is None:
            return START
        if session.half_done:
            return f"Go back to step {session.checkpoint_step:,}, where the run was last saved, and go on from there"
        return f"Go on from step {session.total_step:,}: everything up to there is still in memory"

    def _still(self, word: str) -> None:
        session = self.studio.session
        if session is None:
            return
        stage = session.stage
        steps = stage.steps if stage is not None else 0
        where = f"{word} in {session.stage_name}" if session.stage_name else word
        self._show(self.stage_bar, session.index / steps if steps else 0.0, where)
        self._total(session.total_step, session.total_steps)
        self.left.setText("")

    def _session(self, session: Any) -> None:
        self.pace = Pace()
        self._state(self.studio.state)

    def _clear(self) -> None:
        self._show(self.stage_bar, 0.0, "")
        self._show(self.run_bar, 0.0, "")
        self.left.setText("")

    def _show(self, bar: ProgressBar, done: float, text: str) -> None:
        """A share from 0 to 1, or a bar that only moves where nobody knows (-1)."""
        bar.setRange(0, 0 if done < 0 else 1000)
        bar.setValue(int(1000 * max(done, 0.0)))
        bar.setFormat(text.replace("%", "%%"))
        if done < 0 and bar is self.stage_bar:  # a bar that only moves has no room for words
            self.run_bar.setFormat(bar.format())

    def _total(self, done: int, count: int) -> None:
        self._show(self.run_bar, done / count if count else 0.0, f"step {done:,} of {count:,}" if count else "")

    def _steps(self, reports: list[StepReport]) -> None:
        left = None
        for report in reports:
            left = self.pace.update(report)
        if self.studio.state != "running":
            return
        report = reports[-1]
        if report.steps:
            psnr = f", {decibels(report.psnr)}" if report.psnr is not None else ""
            text = f"{report.stage.capitalize()}: {report.step:,} of {report.steps:,}{psnr}"
            self._show(self.stage_bar, report.step / report.steps, text)
        self._total(report.total_step, report.total_steps)
        if left is not None:
            self.left.setText(f"{duration(left)} left")

    def _message(self, message: object) -> None:
        if isinstance(message, Progress):
            done, words = progress_words(message)
            self._preparing = words if message.stage == "prepare" and message.done < 1 else ""
            if self.studio.state != "ready":  # what is prepared beforehand is not waited for yet
                self._show(self.stage_bar, done, words)
        elif isinstance(message, StageChanged) and message.state == "begin":
            self._show(self.stage_bar, -1.0, f"{message.stage.capitalize()}: begins")
            self.left.setText("")
        elif isinstance(message, EvalReport):
            self.left.setText("")

    # ---- checkpoints

    def _list_checkpoints(self) -> None:
        session, menu = self.studio.session, self.revert_menu
        menu.clear()
        if session is None:
            return
        menu.addAction("Looking for checkpoints\u2026").setEnabled(False)
        self.studio.background("", lambda handle: session.checkpoints(), self._fill_checkpoints)

    def _fill_checkpoints(self, entries: list[Any]) -> None:
        menu = self.revert_menu
        menu.clear()
        if not entries:
            menu.addAction("There is no checkpoint yet").setEnabled(False)
        for entry in reversed(entries):
            when = time.strftime("%H:%M:%S", time.localtime(entry.time))
            stage = f", stage {entry.stage}" if entry.stage else ", end of the run"
            earlier = menu.addAction(f"Step {entry.total_step:,}{stage}, saved {when}")
            earlier.setToolTip("Go back to this moment; what came after it is given up")
            earlier.triggered.connect(lambda _=False, path=Path(entry.path): self.studio.revert(path))
        menu.adjustSize()
