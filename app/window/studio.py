"""The studio: what is open and how the run goes; the only thing that panels know."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QObject, QSettings

from app.window.background import Background, ProgressHandle
from app.window.engine_thread import EngineThread
from app.window.inbox import Inbox
from app.window.opening import Opened, doctor_of, doctor_of_path, free_folder, opened
from app.window.studio_edits import StudioEdits
from app.window.studio_signals import State
from app.window.unsaved import ELSEWHERE
from engine.errors import PhotosMissing, ProjectError, UnrenderError
from engine.optimize.capture_options import capture_options
from engine.optimize.messages import Progress

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.session import Session

T = TypeVar("T")
STAYS = "What was open before stays open as it was."


class Studio(StudioEdits):
    """Every action returns at once and tells by a signal what came of it."""

    def __init__(self, settings: QSettings | None = None, parent: QObject | None = None) -> None:
        super().__init__(settings, parent)
        self.inbox = Inbox(self)
        self.inbox.steps.connect(self.steps_reported)
        self.inbox.message.connect(self.message_received)
        self.inbox.ticked.connect(self._look)
        self.capture_options_changed.connect(self.reopen_capture)
        self._background = Background(self.inbox, self)
        self._background.busy_changed.connect(self.busy_changed)
        self._background.failed.connect(self.failed)
        self._opening: ProgressHandle | None = None
        self._state_before: State = "empty"  # of what is open while something else is being read
        self._read_from: set[Path] = set()  # what the recipe's section capture was chosen for
        self._examining: ProgressHandle | None = None
        self._engine: EngineThread | None = None

    # ---- what is open

    def open(self, path: Path | str, photos: Path | None = None) -> None:
        """Open a project's folder or a capture in place of what is open, which stays where that fails.

        Other photos are read as the recipe's defaults say, not as was chosen for those before. `photos` says where a
        project's photos are now, if they moved.
        """
        path = Path(path)
        others = bool(self._read_from) and path.absolute() not in self._read_from
        section, handles = (self.default_recipe() if others else self.recipe).capture, []
        for handle in (self._opening, self._examining):
            if handle is not None:
                handle.cancel()
        if self.capture is None:
            self.doctor_changed.emit(None)  # what was said of another folder
        if self.state != "opening":
            self._state_before = self.state
        self._set_state("opening")

        def work(handle: ProgressHandle) -> Opened:
            handle.report(-1.0, path.name)

            def posing(done: float, text: str) -> None:
                handle.report(done, text)
                self.inbox.put_message(Progress("poses", done, text))

            return opened(path, section, posing, lambda: handle.cancelled, photos)

        def done(what: Opened) -> None:
            self.close_all()
            self._read_from = {path.absolute(), what.capture.path.absolute()}
            if others and what.recipe is None:
                self._forget_section()
            self._take(what)

        def failed(error: BaseException) -> None:
            if self._opening not in handles:  # something else was opened meanwhile, or all was closed
                return
            self._not_opened(error)
            if isinstance(error, PhotosMissing):
                self.photos_missing.emit(path)
            if self.capture is None:
                self._read_from = {path.absolute()}
                if others:
                    self._forget_section()
                self._examine_closed(path, section)

        self._opening = self._background.start("Opening", work, done, failed)
        handles.append(self._opening)

    def _forget_section(self) -> None:
        """Have the next run read photos as by default."""
        self._recipe.forget_capture()
        self.region_changed.emit(self.region)

    def open_sample(self) -> None:
        """Open the capture that comes with Unrender."""
        import assets

        self.open(assets.sample_capture())

    def close_all(self) -> None:
        """Close session and capture; unsaved steps go on from the last checkpoint when the project is opened again."""
        for handle in (self._opening, self._examining):
            if handle is not None:
                handle.cancel()
        self._opening = self._examining = None
        self._forget_session()
        if self.capture is None:
            self.doctor_changed.emit(None)  # what was said of a folder that could not be opened
        self._set_capture(None)
        self._set_state("empty")

    def reopen_capture(self) -> None:
        """Read the capture again, after an option of how it is read has changed."""
        if self.capture is None or self._session is not None or self.state == "opening":
            return
        if self._opening is not None:
            self._opening.cancel()
        path, section, handles = self.capture.path, self.recipe.capture, []

        def failed(error: BaseException) -> None:
            if self._opening in handles:
                self._opening = None
            self.say(error)

        label = "Reading the photos again"
        self._opening = self._background.start(label, lambda handle: opened(path, section), self._take, failed)
        handles.append(self._opening)

    def _take(self, what: Opened) -> None:
        self._opening = None
        if what.recipe is not None:
            self._recipe.replace(what.recipe)
        self._set_capture(what.capture)
        if what.project is None:
            self._set_state("ready")
        else:
            self.engine.open(what.project, what.capture)
        self._examine()

    def _not_opened(self, error: BaseException) -> None:
        self._opening = None
        if self.state == "opening":  # else the run that stays open has ended or paused by itself
            self._set_state(self._state_before)
        self.say(error, "" if self.capture is None else STAYS)

    def _set_capture(self, capture: Capture | None) -> None:
        if capture is self.capture:
            return
        self.capture, self.scores, self.doctor = capture, {}, None
        if self.excluded:
            self.excluded = set()
            self.excluded_changed.emit(self.excluded)
        self.look_through(None)
        self.capture_changed.emit(capture)
        self.doctor_changed.emit(None)
        self.scores_changed.emit({})

    def _examine(self) -> None:
        capture, ignoring = self.capture, self.recipe.splats.masks == "ignore"

        def done(report: Any) -> None:
            if self.capture is capture:
                self.doctor = report
                self.doctor_changed.emit(report)

        self._examining = self._background.start("", lambda handle: doctor_of(capture, ignoring), done)

    def _examine_closed(self, path: Path, section: Any) -> None:
        """Have the doctor look at a capture that could not be opened, so that the window can say how to mend it."""
        handles = []

        def done(report: Any) -> None:
            if self._examining in handles and self.capture is None and report is not None:
                self.doctor_changed.emit(report)

        self._examining = self._background.start("", lambda _: doctor_of_path(path, section), done, lambda _: None)
        handles.append(self._examining)

    # ---- the run

    @property
    def engine(self) -> EngineThread:
        """The engine thread, started when it is first needed."""
        if self._engine is None:
            prepare = self.settings.value("engine/prepare_kernels", True, bool)
            hear = (self._engine_state, self._engine_session, self.failed.emit)
            self._engine = EngineThread(self.inbox, *hear, prepare)
        return self._engine

    def warm_up(self) -> None:
        """Load the engine and its kernels before the first run asks for them."""
        self.engine.warm_up()

    def next_folder(self) -> Path:
        """The folder that the next run would make."""
        home = self.settings.value("projects/folder", "")
        return self.project_folder or free_folder(self.capture.path, Path(home) if home else None)

    def run(self) -> None:
        """Start a run, or go on with it, to the end."""
        self._run()

    resume = run

    def step_once(self) -> None:
        """Take one step, then pause."""
        if self._session is None:
            self._run(until=1)
        else:
            self.engine.go(steps=1)

    def run_until(self, total_step: int) -> None:
        """Go on until `total_step` steps are done in all, then pause."""
        self._run(until=total_step)

    def _run(self, until: int | None = None) -> None:
        if self._session is not None:
            self.engine.go(until)
            return
        if self.capture is None or self.state in ("running", "opening"):
            return
        recipe, folder = self.recipe, self.next_folder()
        try:
            same = capture_options(recipe.capture) == self.capture.options
        except UnrenderError as error:
            self.say(error)
            return
        excluded = {self.capture.frames[frame].name for frame in self.excluded}
        self._set_state("running")
        self.engine.create(self.capture if same else self.capture.path, recipe, folder, excluded, until)

    def pause(self) -> None:
        """Hold after the current step."""
        if self._engine is not None:
            self._engine.hold()

    def stop(self) -> None:
        """End what runs as soon as possible, with a checkpoint; `run` goes on from there.

        That may be a script's function that holds a paused run.
        """
        if self._engine is not None:
            self._engine.stop()

    @property
    def has_unsaved_steps(self) -> bool:
        """Whether a run is unfinished and goes on, or has come farther than it was last saved on purpose, or at all."""
        session = self._session
        if session is None or session.finished:
            return self.state == "running" or (session is not None and session.unsaved)
        return self.state == "running" or session.total_step != self.engine.saved_step

    def mark_saved(self) -> None:
        """A checkpoint of this moment was written."""
        if self._session is not None:
            self.engine.saved_step = self._session.total_step

    def revert(self, path: Path | None = None) -> None:
        """Go back to the newest checkpoint or to that one, and wait there."""
        if self._engine is not None:
            self._engine.revert(path)

    def new_run(self) -> None:
        """Close the session and keep photos and recipe for another run."""
        self._forget_session()
        self.set_project_folder(None)
        self._set_state("ready" if self.capture is not None else "empty")

    def _forget_session(self) -> None:
        if self._session is not None:
            self._session.on_message = None
        if self._engine is not None:
            self._engine.drop()
        self.inbox.forget_messages()
        if self._session is not None:
            self._engine_session(None)
        self.undo_stack.clear()
        self.set_relight(None)
        self.set_selection(None)
        if self.scores:
            self.set_scores({})
        if self.snapshot is not None:
            self.snapshot = None
            self.snapshot_changed.emit(None)

    def _engine_state(self, state: str) -> None:
        if state == "ready" and self.capture is None:
            state = "empty"
        self._set_state(state)

    def _engine_session(self, session: Session | None) -> None:
        if self.has_ended:
            return
        self._session = session
        if session is not None:
            if session.capture is not self.capture:  # read anew, or without the photos that cannot be used
                self._set_capture(session.capture)
                self._examine()
            self._recipe.follow(session)
        self.session_changed.emit(session)
        self.recipe_changed.emit("")
        self._look()

    def _set_state(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    def _look(self) -> None:
        """Pick up what the session left for whoever looks: snapshot, recipe, photos left out."""
        if self._engine is not None:
            self._engine.look()
            if self._engine.held != self.held:
                self.held = self._engine.held
                self.held_changed.emit(self.held)
        session = self._session
        if session is None:
            return
        slot = getattr(session, "latest", None)
        newest = slot.newest() if slot is not None else None
        if newest is not None and newest is not self.snapshot:
            self.snapshot = newest
            self.snapshot_changed.emit(newest)
        self._recipe.follow(session)
        excluded = set(session.context.views.excluded)
        if excluded != self.excluded:
            self.excluded = excluded
            self.excluded_changed.emit(excluded)

    # ---- work elsewhere

    def call(self, function: Callable[[Session], T]) -> Future[T]:
        """Run `function` on the engine thread between two steps; works while paused too, not after half a step."""
        why = "there is no run yet; press Run first"
        if self._session is not None:
            if self.can_save:
                return self._session.call(function)
            why = "the run was stopped by an error; press Try again first, which goes on from its last checkpoint"
        future: Future[T] = Future()
        future.set_exception(ProjectError(why))
        return future

    def background(
        self,
        label: str,
        work: Callable[[ProgressHandle], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> ProgressHandle:
        """Run `work` on a worker thread; `done` gets its result and `failed` its error on the GUI thread."""
        return self._background.start(label, work, done, failed)

    def cancel_background(self) -> None:
        """Ask every long action to end."""
        self._background.cancel()

    def shut_down(self, save: bool = True) -> None:
        """End the threads without waiting; `closed` says when they are gone, `stayed` that saving failed."""
        if self._engine is not None:
            self._engine.shut_down(save)

        def wait(_handle: ProgressHandle) -> None:
            if self._engine is not None:
                self._engine.join()

        def failed(error: BaseException) -> None:
            if not self.has_ended:
                self.say(error, ELSEWHERE if self.can_save else "")
                self.stayed.emit()

        self._background.start("Saving" if save else "Closing", wait, lambda _: self.closed.emit(), failed)

    def close(self) -> None:
        """End the threads and wait for them; nothing is emitted afterwards."""
        if self.has_ended:
            return
        self.has_ended = True
        with contextlib.suppress(RuntimeError):  # where Qt has already deleted it
            self.ending.emit()
            self.inbox.close()
        if self._engine is not None:
            self._engine.shut_down(save=False)
            with contextlib.suppress(Exception):  # where a checkpoint that was to come first could not be written
                self._engine.join(60)
        self._background.close()
