"""The one thread that makes, steps and closes the session; the window only sends it jobs."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.scripting.interruption import ScriptWork
from app.window import kernel_cache
from app.window.background import described
from app.window.engine_leaving import Leaving
from app.window.inbox import Inbox
from app.window.loading import is_loaded, load_engine
from app.window.unsaved import what_is_left, what_now
from engine.errors import Cancelled, ProjectError, UnrenderError
from engine.optimize.messages import EvalReport, ExcludeView, Failed, Message, Notice, Pause, Progress
from engine.optimize.process import return_memory

if TYPE_CHECKING:
    from engine.optimize.session import Session

SWITCH_SECONDS = 0.0005  # how long Python code of one thread may keep the window's thread waiting
IDLE_SECONDS = 0.03  # between looks at a paused session's queue
NICENESS = 5  # below the window's thread, which draws
PREVIEW_SECONDS = 0.25  # between two snapshots
MEMORY_SECONDS = 30.0  # between two returns of freed memory within a stage: the C library would heap it up
HALF_DONE = "an error left a step half done, so close it without saving; it can go on later from step"


class EngineThread(Leaving):
    """`create`, `open`, `go`, `hold`, `stop`, `revert` and `drop` return at once and are done in order, between steps.

    `on_state(state)`, `on_session(session)` and `on_failed(sentence, details)` are called on the GUI thread.
    """

    def __init__(
        self,
        inbox: Inbox,
        on_state: Callable[[str], None],
        on_session: Callable[[Session | None], None],
        on_failed: Callable[[str, str], None],
        prepare_kernels: bool = True,
    ) -> None:
        self.session: Session | None = None
        self._inbox, self._on_state, self._on_session, self._on_failed = inbox, on_state, on_session, on_failed
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.scripts = ScriptWork()  # functions of scripts that run on this thread
        self._urged: float | None = None  # since when the thread is to leave what it does, by time.monotonic()
        self._interrupt = threading.Event()  # ends reading photos, compiling and evaluating
        self._prepare_kernels = prepare_kernels
        self.saved_step = 0  # at which the session was last saved on purpose
        self._until: int | None = None
        self._broken = False  # the session met an error: it goes on from its last checkpoint
        self._evaluated = False
        self._state = ""
        self._wanted = self._told = 0  # numbers of the sessions: the one the window wants, the one this thread tells of
        self._ended = False
        self._refusal: BaseException | None = None  # why the thread did not end: what was to be saved could not be
        self._returned = time.monotonic()  # when freed memory was last given back to the system
        self._thread = threading.Thread(target=self._loop, name="unrender-engine", daemon=True)
        self._thread.start()

    # ---- for the GUI thread

    def warm_up(self) -> None:
        """Load what a session needs."""
        self._interrupt.clear()
        self._jobs.put(self._imported)

    def create(self, capture: Any, recipe: Any, folder: Path, excluded: set[str], until: int | None) -> None:
        """Make a new run in `folder` without the photos `excluded` and start it; it pauses after `until` steps."""
        self._interrupt.clear()
        number = self._wanted
        self._jobs.put(lambda: self._create(number, capture, recipe, folder, excluded, until))

    def open(self, folder: Path, capture: Any) -> None:
        """Open a project's session, which waits at its newest checkpoint."""
        self._interrupt.clear()
        number = self._wanted
        self._jobs.put(lambda: self._open(number, folder, capture))

    def go(self, until: int | None = None, steps: int | None = None) -> None:
        """Step on, to the end, until `until` steps are done in all, or for so many `steps`."""
        self._jobs.put(lambda: self._go(until, steps))

    def hold(self) -> None:
        """Pause after the current step."""
        self._jobs.put(self._hold)

    def stop(self) -> None:
        """Interrupt what can be interrupted, write a checkpoint and wait."""
        self._urge()
        self._jobs.put(self._stop)

    def revert(self, path: Path | None) -> None:
        """Go back to a checkpoint and wait there."""
        self._jobs.put(lambda: self._revert(path))

    def drop(self) -> None:
        """Save and close the session; nothing more is told of it."""
        self._wanted += 1
        self._urge()
        self._jobs.put(self._drop)

    def call(self, job: Callable[[], None]) -> None:
        """Run `job` on this thread, between steps."""
        self._jobs.put(job)

    # ---- on the engine thread

    def spoil(self, error: UnrenderError) -> None:
        """Within a call: something was left half done, so the session goes on from its last checkpoint."""
        self.session.half_done = True
        self._fail(error)

    def _loop(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        if sys.platform == "linux":  # elsewhere this would slow the whole process down
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self._ended:
            try:
                job = self._jobs.get(timeout=self._patience())
            except queue.Empty:
                job = self._advance if self.session is not None else None
            if job is not None:
                self._guarded(job)

    def _patience(self) -> float | None:
        return None if self.session is None else IDLE_SECONDS if self._broken else 0.0

    @property
    def _is_going(self) -> bool:
        return self.session is not None and not self._broken and not self.session.paused and not self.session.finished

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Cancelled:
            self._rest()
        except BaseException as error:  # whatever it is, the window stays and says it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        sentence, details = described(error)
        session = self.session
        if session is not None:
            self._broken = True
            try:
                settle(session, paused=True)
                session.notify(Failed(sentence, session.stage_name))
            except Exception:  # the log cannot be written either; the window still says it
                pass
            sentence += f"\n\n{what_now(session)}"
        error.__traceback__ = None  # it holds the tensors of the failed step
        self._say("failed" if session is not None else "ready")
        self._tell(lambda: self._on_failed(sentence, details))

    def _say(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._tell(lambda: self._on_state(state))

    def _tell(self, what: Callable[[], None]) -> None:
        """Have the window told, unless it has turned to another session by then."""
        number = self._told
        self._inbox.put_call(lambda: what() if number == self._wanted else None)

    def _rest(self) -> None:
        """Say what a session that does not step is."""
        session = self.session
        self._say("ready" if session is None else "finished" if session.finished else "paused")

    @property
    def _is_interrupted(self) -> bool:
        return self._interrupt.is_set() or self._told != self._wanted

    def _message(self, message: Message) -> None:
        if isinstance(message, Progress) and message.stage == "evaluate" and self._is_interrupted:
            raise Cancelled("stopped while measuring the result")
        self._inbox.put_message(message)

    def _reading(self, done: int, total: int, name: str) -> None:
        if self._is_interrupted:
            raise Cancelled("stopped while reading the photos")
        self._inbox.put_message(Progress("photos", done / max(total, 1), f"photo {done} of {total}: {name}"))

    def _preparing(self, done: float, text: str) -> None:
        if self._is_interrupted:
            raise Cancelled("stopped while preparing")
        self._inbox.put_message(Progress("prepare", done, text))

    def _imported(self) -> type[Session]:
        if not is_loaded():
            self._preparing(-1.0, "loading the engine")
        session_type = load_engine()
        if self._prepare_kernels and not kernel_cache.fill(self._preparing):
            self._message(Notice("The kernels could not be compiled beforehand: the first steps take longer."))
        self._prepare_kernels = False
        return session_type

    def _create(
        self, number: int, capture: Any, recipe: Any, folder: Path, excluded: set[str], until: int | None
    ) -> None:
        self._told = number
        self._say("running")
        session_type = self._imported()
        session = session_type.create(capture, recipe, folder, since=time.monotonic(), progress=self._reading)
        for frame in session.capture.train:
            if session.capture.frames[frame].name in excluded:
                session.queue(ExcludeView(frame))
        self._until, self._evaluated = until, False
        self._adopt(session)

    def _open(self, number: int, folder: Path, capture: Any) -> None:
        self._told = number
        self._say("opening")
        session = self._imported().open(folder, capture=capture, since=time.monotonic(), progress=self._reading)
        settle(session, paused=True)
        metrics = session.project.read_metrics() if session.finished else None
        self._evaluated = bool(metrics)  # else it has yet to be measured, whoever finishes it
        self._adopt(session)
        if metrics:
            self._inbox.put_message(EvalReport(metrics))
        self._rest()

    def _adopt(self, session: Session) -> None:
        self.session, self._broken, self.saved_step = session, False, session.total_step
        session.preview_seconds = PREVIEW_SECONDS
        self._tell(lambda: self._on_session(session))
        session.listen(self._message)

    def _go(self, until: int | None, steps: int | None) -> None:
        session = self.session
        if session is None:
            return
        self._interrupt.clear()
        if self._broken:
            self._recover()
            session = self.session
        if session.finished:
            self._finish()
            return
        self._until = session.total_step + steps if steps is not None else until
        settle(session, paused=False)
        self._say("running")

    def _recover(self) -> None:
        """Go on after an error: from memory, or from the newest checkpoint where a step was left half done."""
        if not self.session.half_done:
            self._broken = False
            return
        self._say("opening")
        folder = self.session.project.folder
        self.session.close()
        self._open(self._told, folder, None)

    def _advance(self) -> None:
        session = self.session
        if self._broken:
            if not session.half_done:
                session.serve(IDLE_SECONDS)
            return
        if not self._is_going:
            if self._state == "running":
                self._rest()
            session.serve(IDLE_SECONDS)
            if self._is_going:  # a script said so
                self._say("running")
            return
        self._say("running")
        stage = session.stage_index
        session.step()
        if session.stage_index != stage or time.monotonic() > self._returned + MEMORY_SECONDS:
            return_memory()
            self._returned = time.monotonic()
        if session.finished:
            self._finish()
        elif self._until is not None and session.total_step >= self._until:
            self._hold()

    def _finish(self) -> None:
        session = self.session
        if session.recipe.run.evaluate and not self._evaluated:
            self._say("running")
            session.serve(0.0)  # shows the last state
            session.evaluate()
            self._evaluated = True
        self._rest()

    def _hold(self) -> None:
        session = self.session
        if session is None:
            return
        self._until = None
        settle(session, paused=True)
        if not self._broken:
            self._rest()

    def _stop(self) -> None:
        self._urged = None
        session = self.session
        if session is None:
            self._rest()
            return
        try:
            self._hold()
            if not self._broken:
                session.run(until=0)  # takes no step: writes a checkpoint
                self.saved_step = session.total_step
                if not session.finished:
                    self._message(Notice(f"stopped at step {session.total_step}; everything is saved"))
        finally:
            self._forget_stop()

    def _revert(self, path: Path | None) -> None:
        session = self.session
        if session is None:
            return
        if self._broken:
            self._recover()
            session = self.session
        settle(session, paused=True)
        session.revert(path)
        self.saved_step = session.total_step
        self._until, self._evaluated = None, False
        self._message(Notice(f"back at step {session.total_step} of {session.total_steps}"))
        self._tell(lambda: self._on_session(session))
        self._rest()

    def _drop(self) -> None:
        self._urged = None
        if self.session is not None and not self.session.half_done:
            try:
                self._save()
            except Exception as error:  # said whatever the window wants by now: nobody else will
                sentence, details = described(error)
                sentence += f"\n\n{what_is_left(self.session)}"
                self._inbox.put_call(lambda: self._on_failed(sentence, details))
        self._close()
        self._state = ""

    def _close(self) -> None:
        session, self.session, self._broken, self._until = self.session, None, False, None
        if session is not None:
            session.close()
            del session
            return_memory()

    def _save(self) -> None:
        """Write a checkpoint where there is something to save. Raises ProjectError where only half a step is there."""
        session = self.session
        if session is None or not session.total_step:
            return
        if session.half_done:
            raise ProjectError(f"{session.project.folder}: {HALF_DONE} {session.checkpoint_step}")
        if not session.finished:
            session.run(until=0)  # takes no step, and forgets the wish to stop
        elif session.unsaved:
            session.checkpoint()

    def _end(self, save: bool) -> None:
        self._urged = None
        if save:
            try:
                self._save()
            except Exception as error:  # whatever it is: `join` waits for the end or for this
                self._forget_stop()
                self._refusal = error
                self._hold()  # may meet the same full disk, where a change waits to be recorded
                return
        self._ended = True
        self._close()


def settle(session: Session, paused: bool) -> None:
    """Have the session hold or go, after what was queued before."""
    session.queue(Pause(paused))
    while session.paused != paused:
        session.serve(0.0)
