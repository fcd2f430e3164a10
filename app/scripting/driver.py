"""What the namespace of scripts asks of its surroundings: a window with its threads, or a process of its own."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import ProjectError
from engine.optimize.messages import StepReport

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.session import Session

T = TypeVar("T")
POLL_SECONDS = 0.05  # how long an interrupt waits at most for a script that waits
NO_SESSION = "there is no run yet: call run() or step() to begin one"


class Driver(ABC):
    """Calls come from the script's thread. What `call` runs, runs where no step is in progress."""

    last: StepReport | None = None  # the newest step of the run

    @property
    @abstractmethod
    def session(self) -> Session | None:
        """The run, for `call` only; None before it begins."""

    @property
    @abstractmethod
    def capture(self) -> Capture:
        """The photos, also before there is a run. Raises UnrenderError when nothing is open."""

    @abstractmethod
    def call(self, function: Callable[[Session], T]) -> T:
        """`function(session)` between two steps; its result, or its exception. Raises ProjectError without a run."""

    def call_script(self, function: Callable[[Session], T]) -> T:
        """As `call`, of a function that is the script's own and may not end by itself: an interrupt ends it."""
        return self.call(function)

    def ending(self, function: Callable[..., T]) -> Callable[..., T]:
        """A function of the script's that becomes a part of the steps; one that does not end by itself can be ended."""
        return function

    @abstractmethod
    def recipe(self) -> Any:
        """A copy of the recipe that the run has, or that the next one will have."""

    @abstractmethod
    def run(self, until: int | None, wait: bool) -> bool:
        """Step until all is done (True) or `total_step` is `until` or the run is paused (False)."""

    @abstractmethod
    def step(self, count: int) -> StepReport:
        """`count` steps; the last one's report. Raises ProjectError when all is done."""

    @abstractmethod
    def pause(self) -> None:
        """Hold after the current step."""

    @abstractmethod
    def set_option(self, key: str, value: Any) -> None:
        """Change an option from the next step on. Raises RecipeError where that cannot be."""

    @abstractmethod
    def new_run(self, folder: Path, options: dict[str, Any]) -> None:
        """Close the run and prepare another one of the same capture and recipe, with `options`, in `folder`."""

    @abstractmethod
    def on_begin(self, function: Callable[[Session], None]) -> None:
        """Have `function(session)` called once the next run begins."""

    @property
    def window(self) -> Any:
        """What drives the window; None without one."""
        return None


def require_session(session: Session | None) -> Session:
    """The session. Raises ProjectError when there is none."""
    if session is None:
        raise ProjectError(NO_SESSION)
    return session


def wait_for(future: Future[T]) -> T:
    """The future's result; unlike `result()`, an interrupt gets through while it waits, and takes the call back."""
    try:
        while not future.done():
            try:
                return future.result(POLL_SECONDS)
            except NotYet:
                pass
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once `condition()` holds; an interrupt gets through."""
    while not condition():
        time.sleep(POLL_SECONDS)
