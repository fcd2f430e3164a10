"""One run: capture, recipe, scene and stages, advanced one step at a time by whoever drives it."""

from __future__ import annotations

import copy
import dataclasses
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.device import choose_device, without_webgpu
from engine.errors import Cancelled, DeviceLost, OnlyDeviceLost, ProjectError, UnrenderError
from engine.optimize import messages, process
from engine.optimize.commands import CommandQueue
from engine.optimize.guard import (
    Snapshot,
    generator_state,
    is_out_of_memory,
    restore_generators,
    restore_snapshot,
    stage_is_finite,
    take_snapshot,
)
from engine.optimize.history import Entry, Kind
from engine.optimize.messages import Message, Notice, StageChanged, StepReport
from engine.optimize.project import Project
from engine.optimize.publishing import Publisher
from engine.optimize.recovery import Change, left_device, lowered_learning_rate, lowered_memory
from engine.optimize.reports import Reporter
from engine.optimize.scene_state import SceneState
from engine.optimize.session_live import LiveSession
from engine.optimize.session_resume import resumed
from engine.optimize.session_start import (
    check_start,
    make_deterministic,
    named_rasterizer,
    opened_capture,
    or_abandon,
    or_close,
    weak_notify,
)
from engine.optimize.session_state import scene_of_checkpoint
from engine.optimize.stage import IteratingStage, Stage, StageContext, stage_for
from engine.optimize.turns import kernel_turn
from engine.optimize.views import ViewSet

if TYPE_CHECKING:
    from engine.capture import Capture

__all__ = ["Session", "scene_of_checkpoint"]

SNAPSHOT_STEPS = 20  # iterations between last-good states
LOG_SECONDS = 1.0  # between reports of steps or progress in log.jsonl
FINISH_SECONDS = 5.0  # of steps that a stage's last work must not put at risk


class Session(LiveSession):
    """Made by `create` or `open`; `step` advances it, `run` loops. LiveSession says what other threads may call."""

    def __init__(self, project: Project, capture: Capture, recipe: Any, device: str, since: float | None) -> None:
        self.project = project
        self.capture = capture
        self.recipe = recipe
        self.device = choose_device(device)
        self._since = process.started() if since is None else since
        self.seconds_before = 0.0
        self.on_message: Callable[[Message], None] | None = None
        self._early: list[Message] = []  # said before anyone listened
        self._commands, self._publisher, self.reporter = CommandQueue(self), Publisher(self), Reporter(self)
        self._stop = threading.Event()
        self.stage_index, self.index, self.total_step = 0, 0, 0
        self.stage: Stage | None = None
        self.stage_records: list[dict[str, Any]] = []  # finished stages: name, steps, seconds
        self.stage_seconds = 0.0
        self.snapshot: Snapshot | None = None
        self._setbacks, self.peak_before = 0, 0.0
        self.half_done = False  # an error left a step half done: only a checkpoint is whole
        self.unsaved = False  # the newest checkpoint could not be written
        self.checkpoint_step = 0  # total_step of the newest that was
        self._last_checkpoint = self._last_log = time.monotonic()
        seed = recipe.run.seed
        make_deterministic(seed)
        self.context = StageContext(
            recipe=recipe,
            capture=capture,
            views=ViewSet(capture, self.device.torch_device, seed),
            scene=SceneState(),
            rasterizer=named_rasterizer(self.device.rasterizer),
            device=self.device,
            exports=project.exports,
            generator=torch.Generator().manual_seed(seed),
            random=np.random.Generator(np.random.PCG64(seed)),
            notify=weak_notify(self),
            cancelled=self._stop.is_set,
        )
        project.log("Opened", {"seconds": round(self.seconds, 3)})  # should the process be killed before it says more
        for text in capture.warnings:
            self.notify(Notice(text, "warning"))

    @classmethod
    def create(
        cls,
        capture: Path | str | Capture,
        recipe: Any,
        out: Path | str,
        device: str = "auto",
        overwrite: bool = False,
        since: float | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Session:
        """A new run in a new project folder; nothing is written until recipe, device and every photo have been read.

        `since` is the `time.monotonic()` from which `seconds` count, by default the start of the process; `progress`
        is told (done, total, name) while photos are decoded. Raises UnrenderError.
        """
        check_start(capture, recipe, out, device, overwrite)
        opened = opened_capture(capture, recipe, progress, recipe.stages)
        kept = copy.deepcopy(recipe)
        project = Project.create(out, kept, Path(opened.path).resolve(), opened.fingerprint(), device, overwrite)
        return or_abandon(project, lambda: cls(project, opened, copy.deepcopy(recipe), device, since))

    @classmethod
    def open(
        cls,
        out: Path | str,
        recipe_type: type | None = None,
        overrides: list[str] | tuple[str, ...] = (),
        device: str | None = None,
        capture: Path | str | Capture | None = None,
        since: float | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Session:
        """Resume from the newest whole checkpoint, or start over where there is none yet.

        `overrides` ("section.key=value") may change live options and those of stages that have not begun; `capture`
        says where the photos are now, if they moved. Raises UnrenderError.
        """
        if recipe_type is None:
            from engine.optimize.recipe import Recipe as recipe_type
        project = Project.open(out, recipe_type)
        return or_close(project, lambda: resumed(cls, project, overrides, device, capture, since, progress))

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return self.stage_index >= len(self.recipe.stages)

    @property
    def seconds(self) -> float:
        """Wall time of this run from the start of the process, summed over resumes."""
        return self.seconds_before + time.monotonic() - self._since

    @property
    def total_steps(self) -> int:
        """Steps of all stages, as far as the recipe tells."""
        done = sum(record["steps"] for record in self.stage_records)
        if self.finished:
            return done
        names = self.recipe.stages[self.stage_index :]
        planned = [int(getattr(getattr(self.recipe, name, None), "steps", 0)) for name in names]
        if self.stage is not None:
            planned[0] = self.stage.steps
        return done + sum(planned)

    def notify(self, message: Message) -> None:
        """Pass a message to the listener and note it in the log."""
        if not isinstance(message, (StepReport, messages.PreviewReady, messages.Progress)):
            self._log(message)
        elif not isinstance(message, messages.PreviewReady) and time.monotonic() - self._last_log > LOG_SECONDS:
            self._last_log = time.monotonic()
            self._log(message)
        if self.on_message is not None:
            self.on_message(message)
        elif isinstance(message, Notice):
            self._early.append(message)

    def listen(self, on_message: Callable[[Message], None]) -> None:
        """Have `on_message` hear everything from now on, first the notices nobody heard; for the stepping thread."""
        self.on_message = on_message
        for message in self._early:
            on_message(message)
        self._early.clear()

    def _log(self, message: Message) -> None:
        self.project.log(type(message).__name__, {"seconds": round(self.seconds, 3)} | dataclasses.asdict(message))

    def run(self, on_message: Callable[[Message], None] | None = None, until: int | None = None) -> bool:
        """Step until all is done (True), or until stopped or `total_step` reaches `until` (False, checkpoint written).

        Raises UnrenderError after a `Failed` message; the last checkpoint stays valid.
        """
        if on_message is not None:
            self.listen(on_message)
        try:
            while not self.finished and not self._stop.is_set() and (until is None or self.total_step < until):
                self._commands.apply()
                if self._commands.paused and not self._stop.is_set():
                    self.serve()
                elif not self._stop.is_set():
                    with kernel_turn():
                        self._advance()
            if not self.finished:
                self.checkpoint()
                return False
            return True
        except (
            Cancelled
        ):  # in the middle of work before or after steps, which starts over from the checkpoint before it
            return False
        except UnrenderError as error:
            self.notify(messages.Failed(str(error), self.stage_name))
            raise
        finally:
            self._stop.clear()

    def step(self) -> StepReport:
        """One iteration, or all the work of a stage without iterations. Raises ProjectError when all is done."""
        self._commands.apply()
        with kernel_turn():
            return self._advance()

    def evaluate(self, reference: Path | None = None) -> dict[str, Any]:
        """Metrics of the exported asset over the test views, written to metrics.json. Raises UnrenderError."""
        from engine.optimize.evaluate import evaluate_session

        with kernel_turn():
            return evaluate_session(self, reference)

    def close(self) -> None:
        """Cancel the calls that wait, and let other processes open the project."""
        self._commands.close()
        self.project.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Close; a new run that failed before it saved anything or ended a stage leaves its folder as it was before."""
        if isinstance(error, Exception) and not isinstance(error, Cancelled) and not self.stage_index:
            self.project.abandon()
        self.close()

    @property
    def stage_name(self) -> str:
        """The stage that runs or comes next; empty when all are done."""
        return "" if self.finished else self.recipe.stages[self.stage_index]

    def _advance(self) -> StepReport:
        if self.finished:
            raise ProjectError(f"{self.project.folder}: this run is complete; start a new one to go on")
        since, terms, done = time.monotonic(), {"loss": 0.0}, False
        self.half_done = True
        try:
            if self.stage is None:
                self._begin()
            stage = self.stage
            if isinstance(stage, IteratingStage) and self.index < stage.steps:
                terms = self._iterate(stage)
            if self.index >= stage.steps:
                done = self._finish(stage)
        except UnrenderError as error:  # such as a full disk
            at_once = self.stage is None or self.stage.steps == 0
            if at_once or (isinstance(error, Cancelled) and self.index >= self.stage.steps):  # stopped as it finished
                self.half_done = False  # what was begun can be done again, with the same draws
                restore_generators(self.context, *self._draws)
            if at_once:
                self.stage = None
            raise
        finally:
            self.stage_seconds += time.monotonic() - since
        self.half_done = False
        report = self.reporter.report(stage, terms)
        self.notify(report)
        if done:
            self._close_stage(stage)
        elif self.snapshot is not None and self.snapshot.index == self.index:
            if time.monotonic() - self._last_checkpoint >= self.recipe.run.checkpoint_seconds:
                self.checkpoint_or_notice()
        self._publisher.after_step(changed=done)
        return report

    def _begin(self) -> None:
        name = self.stage_name
        self._draws = generator_state(self.context)
        self.notify(StageChanged(name, self.stage_index, len(self.recipe.stages), "begin"))
        self.context.forget()  # what was shown between the stages
        while self.stage is None:
            stage = stage_for(name, self.context)
            try:
                stage.begin(self.context)
                self.stage = stage
            except (MemoryError, RuntimeError, DeviceLost) as error:
                self._go_without(error)
                restore_generators(self.context, *self._draws)
        self.index, self._setbacks = 0, 0
        self.snapshot = take_snapshot(stage, self.context, 0) if stage.steps else None

    def _iterate(self, stage: IteratingStage) -> dict[str, float]:
        try:
            terms = stage.step(self.index)
        except (MemoryError, RuntimeError, DeviceLost) as error:
            self._go_without(error)
            terms = None
        if terms is None:  # only now: the error's traceback held what did not fit
            restore_snapshot(self.snapshot, stage, self.context)
            self._go_back()
            return {"loss": math.nan}
        due = (self.index + 1) % SNAPSHOT_STEPS == 0 or self.index + 1 >= stage.steps
        if not math.isfinite(terms.get("loss", 0.0)) or (due and not stage_is_finite(stage)):
            self._setbacks += 1
            change = lowered_learning_rate(stage, self.context, self.snapshot, self._setbacks, self.index)
            self._go_back()
            self._record_change("learning_rate", change)
            return {"loss": math.nan}
        self.index += 1
        self.total_step += 1
        if due and self.index < stage.steps:
            self.snapshot = take_snapshot(stage, self.context, self.index, over=self.snapshot)
            self._setbacks = 0
        return terms

    def _finish(self, stage: Stage) -> bool:
        """Whether the stage is done; without steps it may have to begin again after memory ran out or WebGPU failed."""
        if stage.steps:
            if time.monotonic() - self._last_checkpoint > FINISH_SECONDS:
                self.checkpoint_or_notice()
            self._draws = generator_state(self.context)
        self.notify(StageChanged(stage.name, self.stage_index, len(self.recipe.stages), "finish"))
        before = self.context.scene.copy()
        try:
            stage.finish()
        except Exception as error:
            self.context.scene = before  # what it wrote is not what it is to be done again from
            if stage.steps or not isinstance(error, (MemoryError, RuntimeError, DeviceLost)):
                raise
            self._go_without(error)
            restore_generators(self.context, *self._draws)
            self.stage = None
            return False
        return True

    def _close_stage(self, stage: Stage) -> None:
        self.stage_records.append({"name": stage.name, "steps": self.index, "seconds": round(self.stage_seconds, 3)})
        self.stage, self.snapshot = None, None
        self.context.forget()
        self.stage_index, self.index, self.stage_seconds = self.stage_index + 1, 0, 0.0
        self.checkpoint_or_notice()
        self.notify(StageChanged(stage.name, self.stage_index - 1, len(self.recipe.stages), "done"))

    def restart_line(self) -> None:
        """Forget what belonged to steps that were gone back over."""
        self._setbacks = 0
        self._commands.replay.clear()
        self._publisher.forget()

    def _go_back(self) -> None:
        self.total_step -= self.index - self.snapshot.index
        self.index = self.snapshot.index

    def _go_without(self, error: BaseException) -> None:
        """Lower what takes memory, or leave WebGPU; raises `error` where neither helps."""
        if isinstance(error, DeviceLost):
            return self._leave_webgpu(error)
        if not is_out_of_memory(error):
            raise error
        largest = max(max(frame.camera.size) for frame in self.capture.frames)
        running = self.stage is not None and self.stage.steps > 0
        self._record_change("memory", lowered_memory(self.recipe, self.stage_name, largest, running))

    def _leave_webgpu(self, error: DeviceLost) -> None:
        if self.device.rasterizer != "webgpu" or isinstance(error, OnlyDeviceLost):
            raise error
        self.device = self.context.device = without_webgpu(self.device)
        self.context.rasterizer = named_rasterizer(self.device.rasterizer)
        index = 0 if self.snapshot is None else self.snapshot.index
        self._record_change("device", left_device(self.stage_name, self.device, error, index))

    def _record_change(self, kind: Kind, change: Change) -> None:
        self.record(kind, change.key, change.value, change.text)
        self.notify(Notice(change.text, "warning"))

    def record(self, kind: Kind, key: str, value: Any, text: str = "") -> None:
        """Note a change in the project's history."""
        self._restore_folder()
        self.project.record(Entry(kind, self.total_step, self.stage_name, key, value, text))
