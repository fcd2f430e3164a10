"""How the console's scripts drive the studio: the run on its own thread, the window on the GUI thread."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QThread, QTimer
from PySide6.QtWidgets import QWidget

from app.scripting.driver import Driver, require_session, wait_for, wait_until
from app.scripting.proxies import Remote
from app.scripting.streams import printing_to, sink_of_thread
from app.window.studio import Studio
from engine.errors import ExchangeError, ProjectError, RecipeError, UnrenderError
from engine.optimize.messages import StepReport
from engine.optimize.options import set_option

T = TypeVar("T")
RESTING = ("paused", "finished", "failed", "ready", "empty")
KEPT = ("closed", "deleteLater", "ending", "engine", "inbox", "shut_down")  # with which the window could not be closed
HALF_A_STEP = "the script was interrupted within a step; the run goes on from its last checkpoint"


def _was_stepping(session: Any, error: BaseException) -> bool:
    """Whether what raised was called by the session itself, which may have left something half done."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__") == type(session).__module__:
            return True
        frame = frame.tb_next
    return False


class WindowView:
    """What scripts reach as `window`: everything the studio can do, the window itself, and a picture of it."""

    def __init__(self, studio: Studio, widget: QWidget) -> None:
        self._studio, self._widget = studio, widget

    def __getattr__(self, name: str) -> Any:
        if name in KEPT:
            raise UnrenderError(
                f"a script cannot reach window.{name}, which belongs to the program; window.close() closes the window "
                f"as its X does, pause() holds the run"
            )
        return getattr(self._studio, name)

    def close(self) -> None:
        """Close the window as its X does, once the script's line has ended: it asks where a run is not finished."""
        QTimer.singleShot(0, self.main, self.main.close)

    def call(self, function: Callable[[Any], T]) -> Future[T]:
        """As `Studio.call`, of a function that may not end by itself: Stop ends it."""
        scripts = self._studio.engine.scripts
        return self._studio.call(lambda session: scripts.run(lambda: function(session), function))

    def __dir__(self) -> list[str]:
        own = [name for name in vars(type(self._studio)) if not name.startswith("_")]
        own += [name for base in type(self._studio).__mro__[1:3] for name in vars(base) if not name.startswith("_")]
        return sorted({*own, "main", "screenshot"} - set(KEPT))

    @property
    def main(self) -> QWidget:
        """The main window."""
        return self._widget.window()

    def screenshot(self, path: Path | str) -> None:
        """Save a picture (.png) of the whole window."""
        if not self._widget.window().grab().save(str(path)):
            raise ExchangeError(f"{path}: the picture could not be written; give a .png in a folder that exists")


class StudioDriver(Driver):
    """Made on the GUI thread, used on the console's."""

    def __init__(self, studio: Studio, widget: QWidget) -> None:
        self._gui = QThread.currentThread()
        self._studio = studio
        self._view = WindowView(studio, widget)
        self._window = Remote(lambda use: self.on_gui(lambda: use(self._view)), "window")
        self._begun: list[Callable] = []
        self._failure = ""
        self._here = threading.local()  # the session, on the thread that a call runs on
        studio.steps_reported.connect(self._reported)
        studio.session_changed.connect(self._changed)
        studio.failed.connect(self._failed)

    # ---- on the GUI thread

    def _reported(self, reports: list[StepReport]) -> None:
        self.last = reports[-1]

    def _changed(self, session: Any) -> None:
        if session is None:
            self.last = None
            return
        begun, self._begun = self._begun, []
        for function in begun:
            self._studio.call(function)

    def _failed(self, sentence: str, _details: str) -> None:
        self._failure = sentence

    # ---- on the console's thread

    def on_gui(self, function: Callable[[], T]) -> T:
        """`function()` on the GUI thread; its result, or its exception."""
        if QThread.currentThread() is self._gui:
            return function()
        future: Future[T] = Future()

        def there() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except BaseException as error:  # the script gets it, the window goes on
                future.set_exception(error)

        self._studio.inbox.put_call(there)
        return wait_for(future)

    @property
    def session(self):
        return self._studio.session

    @property
    def capture(self):
        if self._studio.capture is None:
            raise ProjectError("no photos are open: open a folder first, for example window.open_sample()")
        return self._studio.capture

    @property
    def window(self) -> Remote:
        return self._window

    def call_script(self, function: Callable[[Any], T]) -> T:
        scripts, given_up = self._studio.engine.scripts, threading.Event()

        def started(session: Any) -> T:
            if given_up.is_set():  # it was not yet to be interrupted
                raise KeyboardInterrupt
            return function(session)

        def there(session: Any) -> T:
            try:
                return scripts.run(lambda: started(session), given_up)
            except KeyboardInterrupt as error:
                if _was_stepping(session, error):
                    self._studio.engine.spoil(ProjectError(HALF_A_STEP))
                raise

        try:
            return self.call(there)
        except KeyboardInterrupt:
            given_up.set()
            scripts.interrupt(given_up)
            raise

    def ending(self, function: Callable[..., T]) -> Callable[..., T]:
        return self._studio.engine.scripts.ending(function)

    def call(self, function: Callable[[Any], T]) -> T:
        inside = getattr(self._here, "session", None)
        if inside is not None:  # a call within a call
            return function(inside)
        require_session(self._studio.session)
        sink = sink_of_thread()

        def there(session: Any) -> T:
            self._here.session = session
            try:
                with printing_to(sink):
                    session.serve(0.0)  # options that were set just now
                    return function(session)
            finally:
                self._here.session = None

        return wait_for(self._studio.call(there))

    def recipe(self) -> Any:
        if self._studio.session is not None:
            return self.call(lambda session: copy.deepcopy(session.recipe))
        return self.on_gui(lambda: copy.deepcopy(self._studio.recipe))

    def run(self, until: int | None, wait: bool) -> bool:
        self._ensure()
        self._failure = ""
        if until is None:
            self.on_gui(self._studio.run)
        else:
            if self._studio.session.total_step >= until:
                return self._studio.session.finished
            self.on_gui(lambda: self._studio.run_until(until))
        return self._settle() if wait else False

    def _ensure(self) -> None:
        """Begin a run where there is none, up to its first step; the script's losses are in it from then on."""
        if self._studio.session is not None:
            return
        if self.capture is not None:
            self._failure = ""
            self.on_gui(lambda: self._studio.run_until(0))
            self._settle()
        require_session(self._studio.session)

    def _settle(self) -> bool:
        """Wait until nothing steps; whether all is done. Raises UnrenderError where the run failed."""
        self._obeyed()
        wait_until(lambda: self._studio.state in RESTING)
        self.on_gui(lambda: None)
        if self._studio.state in ("failed", "ready", "empty"):
            raise UnrenderError(self._failure or "the run could not begin")
        return self._studio.state == "finished"

    def _obeyed(self) -> None:
        """Wait until what was asked of the run has reached it, and what it said of that has reached the window."""
        if getattr(self._here, "session", None) is not None:  # within a call nothing else reaches the run
            return
        if self._studio.session is not None:
            future: Future[None] = Future()

            def there() -> None:
                if future.set_running_or_notify_cancel():
                    future.set_result(None)

            self._studio.engine.call(there)
            wait_for(future)
        self.on_gui(lambda: None)

    def step(self, count: int) -> StepReport:
        begun = self._studio.session is not None
        self._ensure()
        for _ in range(count if begun else count - 1):
            self.last = self.call(lambda session: session.step())
        if self.last is None:
            self.on_gui(lambda: None)
        return self.last

    def pause(self) -> None:
        self.on_gui(self._studio.pause)
        self._obeyed()

    def set_option(self, key: str, value: Any) -> None:
        set_option(self.recipe(), key, value)  # raises for what is not an option, or no value of it

        def there() -> None:
            may, why = self._studio.changeable(key)
            if not may:
                raise RecipeError(f"{key} cannot change now. {why}")
            self._studio.set_option(key, value)

        self.on_gui(there)

    def new_run(self, folder: Path, options: dict[str, Any]) -> None:
        recipe = self.recipe()
        for key, value in options.items():
            set_option(recipe, key, value)

        def there() -> None:
            self._studio.new_run()
            self._studio.set_recipe(recipe)
            self._studio.set_project_folder(folder)

        self.on_gui(there)

    def on_begin(self, function: Callable[[Any], None]) -> None:
        self.on_gui(lambda: self._begun.append(function))
