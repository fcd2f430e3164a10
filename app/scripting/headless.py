"""Scripts without a window: the script's thread is the one that steps, so calls run at once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from app.scripting.driver import Driver, require_session
from engine.errors import ProjectError, RecipeError
from engine.optimize.messages import Message, Notice, SetOption, StepReport
from engine.optimize.options import find_option, set_option
from engine.optimize.session import Session

T = TypeVar("T")


class HeadlessDriver(Driver):
    """One run at a time, which begins with the first call that needs it, so that a script can set options first."""

    def __init__(
        self,
        recipe: Any,
        capture: Path | None = None,
        out: Path | None = None,
        project: Path | None = None,
        device: str = "auto",
        overwrite: bool = False,
        show: Callable[[Message], None] = lambda message: None,
    ) -> None:
        self._recipe, self._capture_path, self._out = recipe, capture, out
        self._device, self._overwrite, self._show = device, overwrite, show
        self._capture = None
        self._begun: list[Callable[[Session], None]] = []
        self._refused: list[str] = []  # notices, while an option is being set
        self._session: Session | None = None
        if project is not None:
            self._session = Session.open(project, device=None if device == "auto" else device)
            self._capture_path = Path(self._session.capture.path)
            self._session.on_message = self._hear

    def _hear(self, message: Message) -> None:
        if isinstance(message, StepReport):
            self.last = message
        if isinstance(message, Notice) and message.level == "warning":
            self._refused.append(message.text)
        self._show(message)

    @property
    def session(self) -> Session | None:
        return self._session

    @property
    def capture(self):
        if self._session is not None:
            return self._session.capture
        if self._capture is None:
            from engine.capture import open_capture
            from engine.optimize.capture_options import capture_options

            if self._capture_path is None:
                raise ProjectError("no photos are open: give --capture or --project")
            self._capture = open_capture(self._capture_path, capture_options(self._recipe.capture))
        return self._capture

    def _begin(self) -> Session:
        if self._session is None:
            if self._capture_path is None or self._out is None:
                raise ProjectError("there is nothing to run: give --capture with --out, or --project")
            self._session = Session.create(
                self._capture_path,
                copy.deepcopy(self._recipe),
                self._out,
                self._device,
                self._overwrite,
                since=time.monotonic(),
            )
            self._session.on_message = self._hear
            begun, self._begun = self._begun, []
            for function in begun:
                function(self._session)
        return self._session

    def call(self, function: Callable[[Session], T]) -> T:
        return function(require_session(self._session))

    def recipe(self) -> Any:
        return copy.deepcopy(self._recipe if self._session is None else self._session.recipe)

    def run(self, until: int | None, wait: bool) -> bool:
        session = self._begin()
        done = session.run(self._hear, until)
        if done and until is None and session.recipe.run.evaluate:
            asset = session.project.exports / f"{session.recipe.export.name}.glb"
            if asset.exists():
                session.evaluate()
        return done

    def step(self, count: int) -> StepReport:
        session = self._begin()
        for _ in range(count):
            report = session.step()
        return report

    def pause(self) -> None:
        """Nothing: between two calls nothing steps."""

    def set_option(self, key: str, value: Any) -> None:
        if self._session is None:
            set_option(self._recipe, key, value)
            self._capture = None  # the recipe says how it is read
            return
        set_option(self.recipe(), key, value)  # raises for what is not an option, or no value of it
        self._refused.clear()
        self._session.queue(SetOption(key, value))
        self._session.serve(0.0)
        if self._refused:
            raise RecipeError(self._refused[-1])

    def new_run(self, folder: Path, options: dict[str, Any]) -> None:
        recipe = self.recipe()
        for key, value in options.items():
            find_option(recipe, key)
            set_option(recipe, key, value)
        if self._session is not None:
            self._session.close()
        self._session, self.last = None, None
        self._recipe, self._out = recipe, folder

    def on_begin(self, function: Callable[[Session], None]) -> None:
        self._begun.append(function)

    def close(self) -> None:
        """Write a checkpoint and let other processes open the project."""
        if self._session is not None:
            try:
                if not self._session.finished:
                    self._session.checkpoint()
            finally:
                self._session.close()
