"""What others than the stepping thread may ask of a session while it runs: commands, calls, snapshots, going back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import ProjectError
from engine.optimize import process
from engine.optimize.calls import Call
from engine.optimize.checkpoint import CheckpointEntry, list_checkpoints, write_checkpoint
from engine.optimize.commands import CommandQueue
from engine.optimize.guard import Snapshot, take_snapshot
from engine.optimize.messages import Command, Message, Notice, Unsaved
from engine.optimize.project import Project
from engine.optimize.publishing import Publisher
from engine.optimize.reports import Reporter
from engine.optimize.session_resume import revert
from engine.optimize.session_state import saved_state
from engine.optimize.snapshot import SceneSnapshot, SnapshotSlot

if TYPE_CHECKING:
    from engine.optimize.session import Session
    from engine.optimize.stage import Stage, StageContext

T = TypeVar("T")


class LiveSession:
    """The part of a Session that a window or console talks to; methods say which thread may call them."""

    project: Project
    _commands: CommandQueue
    _publisher: Publisher
    _stop: threading.Event
    stage: Stage | None
    context: StageContext
    stage_index: int
    index: int
    total_step: int
    snapshot: Snapshot | None
    peak_before: float
    reporter: Reporter
    unsaved: bool
    checkpoint_step: int
    _last_checkpoint: float
    notify: Callable[[Message], None]

    def queue(self, command: Command) -> None:
        """Have a command applied before the next step; any thread may call it."""
        self._commands.put(command)

    def call(self, function: Callable[[Session], T]) -> Future[T]:
        """Have `function(session)` run on the stepping thread between two steps, also while paused or in `serve`.

        Any thread may call it; the future gets the result or what was raised, and is cancelled when the session is
        closed first. Waiting for it on the stepping thread, such as in `on_message`, would wait for ever; inside
        another call it is run at once. What the function changes is not in the history: queue commands for that.
        """
        call = Call(function)
        self._commands.put(call)
        return call.future

    def serve(self, seconds: float = 0.1) -> None:
        """Apply the commands and calls that are there, or wait `seconds` for one; for the stepping thread at rest."""
        self._publisher.catch_up()
        self._commands.wait(seconds)
        self._commands.apply()

    def request_stop(self) -> None:
        """Have `run` write a checkpoint and return after the current step; also ends work that reports progress.

        Any thread may call it.
        """
        self._stop.set()

    def forget_stop(self) -> None:
        """Take `request_stop` back where no `run` comes that would obey it; for the stepping thread."""
        self._stop.clear()

    @property
    def paused(self) -> bool:
        """Whether the last Pause command holds the run; any thread may ask."""
        return self._commands.paused

    @property
    def peak_memory_mb(self) -> float:
        """Largest resident memory of this run, over resumes."""
        return max(self.peak_before, process.peak_memory_mb())

    @property
    def latest(self) -> SnapshotSlot:
        """Where the newest published snapshot is; any thread may look."""
        return self._publisher.slot

    @property
    def preview_seconds(self) -> float:
        """Time between published snapshots at least, seconds; infinite, as at first: none are published.

        Publishing takes at most about 5 % of the stepping time, whatever is set. Any thread may set it.
        """
        return self._publisher.seconds

    @preview_seconds.setter
    def preview_seconds(self, seconds: float) -> None:
        self._publisher.seconds = seconds

    def snapshot_now(self) -> SceneSnapshot:
        """A copy of the scene of this moment; only for the stepping thread. Raises UnrenderError where the surface is
        empty."""
        return self._publisher.snapshot()

    def checkpoints(self) -> list[CheckpointEntry]:
        """The project's checkpoints as (path, total_step, stage, time), oldest first; any thread may ask."""
        return list_checkpoints(self.project.checkpoints)

    def checkpoint(self) -> Path | None:
        """Write a checkpoint of this moment; None in a stage without steps, which would start over anyway.

        For the stepping thread. Where the project's folder was taken away it is made anew. Raises ProjectError when it
        cannot be written.
        """
        if self.stage is not None and self.stage.steps == 0:
            return None
        since = time.monotonic()
        self.unsaved = True
        self._restore_folder()
        path = write_checkpoint(self.project.checkpoints, *saved_state(self))
        if self.stage_index:
            self.project.settle()
        self.unsaved, self.checkpoint_step = False, self.total_step
        self._last_checkpoint = time.monotonic()
        self.reporter.spent("checkpoint", self._last_checkpoint - since)
        return path

    def checkpoint_or_notice(self) -> None:
        """As `checkpoint`; a folder that cannot be written becomes an Unsaved notice."""
        try:
            self.checkpoint()
        except ProjectError as error:
            self._last_checkpoint = time.monotonic()
            self.notify(Unsaved(f"no checkpoint: {error}", "warning"))

    def _restore_folder(self) -> None:
        if self.project.restore():
            text = "the project's folder was taken away and is made anew, without the checkpoints and log of before"
            self.notify(Notice(f"{self.project.folder}: {text}", "warning"))

    def revert(self, checkpoint: Path | None = None) -> None:
        """Go back to the newest checkpoint, or the one of that path, in place; only between steps, as in `call`.

        Options, excluded photos and generators go back too; what the user changed since does not come again. The
        history notes it and time goes on. Raises ProjectError, with nothing changed, where it cannot be read.
        """
        revert(self, checkpoint)

    def edited(self) -> None:
        """What is optimized was changed by hand, between steps: it is what is gone back to, saved and shown now."""
        if self.stage is not None and self.stage.steps:
            self.snapshot = take_snapshot(self.stage, self.context, self.index)
        self._publisher.forget()
