"""Commands to a running session, applied between steps and recorded in its history."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.errors import CaptureError, GeometryError, RecipeError
from engine.optimize.calls import Call
from engine.optimize.history import Entry
from engine.optimize.messages import (
    Command,
    DeleteSplats,
    ExcludeView,
    Notice,
    Pause,
    RestoreSplats,
    SetOption,
    Stop,
)
from engine.optimize.options import find_option, parse_value, set_option
from engine.optimize.turns import kernel_turn

if TYPE_CHECKING:
    from engine.optimize.session import Session


class CommandQueue:
    """Commands and calls in order: filled by any thread, emptied by the one that steps; refused commands become a
    Notice."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)  # which has this: a closed session dies at once, with its photos
        self.paused = False
        self.replay: list[Entry] = []  # changes of a killed run that its last checkpoint does not have
        self._queue: queue.SimpleQueue[Command | Call] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._calling: int | None = None  # the thread that is inside a call

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return self._session()

    def put(self, command: Command | Call) -> None:
        """Add a command or a call; a call made inside another one is run at once, since nobody else could run it."""
        if isinstance(command, Call) and self._calling == threading.get_ident():
            command.run(self.session)
            return
        with self._lock:
            if not self._closed:
                self._queue.put(command)
            elif isinstance(command, Call):
                command.future.cancel()

    def close(self) -> None:
        """Cancel the calls that wait, and all later ones."""
        with self._lock:
            self._closed = True
        while not self._queue.empty():
            command = self._queue.get()
            if isinstance(command, Call):
                command.future.cancel()

    def apply(self) -> None:
        """Apply everything that is due."""
        while self.replay and self.replay[0].total_step <= self.session.total_step:
            self._apply(command_of(self.replay.pop(0)))
        while not self._queue.empty():
            self._apply(self._queue.get())

    def wait(self, seconds: float = 0.1) -> None:
        """Apply the next command, or return after `seconds` without one."""
        try:
            self._apply(self._queue.get(timeout=seconds))
        except queue.Empty:
            pass

    def _call(self, call: Call) -> None:
        before, self._calling = self._calling, threading.get_ident()
        try:
            with kernel_turn():
                call.run(self.session)
        finally:
            self._calling = before
            del call  # as in `Call.run`

    def _apply(self, command: Command | Call) -> None:
        session = self.session
        if isinstance(command, Call):
            self._call(command)
            del command  # as in `Call.run`
            return
        try:
            if isinstance(command, SetOption):
                require_changeable(session.recipe, command.key, session.stage_index + (session.stage is not None))
                session.record("set", command.key, set_option(session.recipe, command.key, command.value))
            elif isinstance(command, ExcludeView):
                session.context.views.exclude(command.frame, command.excluded)
                session.record("exclude", str(command.frame), command.excluded)
            elif isinstance(command, (DeleteSplats, RestoreSplats)):
                self._edit_splats(command)
            elif isinstance(command, Pause):
                self.paused = command.paused
            elif isinstance(command, Stop):
                session.request_stop()
        except (RecipeError, CaptureError, GeometryError) as error:
            session.notify(Notice(str(error), "warning"))

    def _edit_splats(self, command: DeleteSplats | RestoreSplats) -> None:
        from engine.optimize.splat_edits import delete_splats, restore_splats

        session = self.session
        if isinstance(command, DeleteSplats):
            kind = "delete_inside" if command.inside else "delete_outside"
            count = delete_splats(session, command.edit, command.box, command.inside)
            session.record(kind, str(command.edit), [float(number) for number in command.box])
            text = f"{count:,} splats deleted"
        else:
            count, left_out = restore_splats(session, command.edit)
            session.record("restore", str(command.edit), "")
            text = f"{count:,} splats are back"
            if left_out:
                text += f"; for {left_out:,} the budget has no room any more"
        session.notify(Notice(text))
        if session.stage is None:  # no step is to come that would save it
            session.checkpoint_or_notice()

    def override(self, overrides: Iterable[str]) -> None:
        """Apply "section.key=value" texts given on resume. Raises RecipeError, before anything changes."""
        session = self.session
        begun = session.stage_index + (session.stage is not None)
        for key, value in checked_overrides(session.recipe, overrides, begun):
            session.record("override", key, set_option(session.recipe, key, value))


def checked_overrides(recipe: Any, overrides: Iterable[str], begun: int) -> list[tuple[str, Any]]:
    """The (key, value) of "section.key=value" texts that may change when `begun` of the recipe's stages have begun.

    Raises RecipeError for the first that may not, is unknown or has a wrong value; the recipe stays as it is.
    """
    pairs = []
    for text in overrides:
        key, separator, value = (part.strip() for part in text.partition("="))
        if not separator:
            raise RecipeError(f"--set {text}: write it as key=value, for example refine.steps=200")
        require_changeable(recipe, key, begun)
        pairs.append((key, parse_value(find_option(recipe, key), value)))
    return pairs


def require_changeable(recipe: Any, key: str, begun: int) -> None:
    """Raise RecipeError unless `key` may change when `begun` of the recipe's stages have begun: live options, those of
    stages to come, and how results are written; what the capture was read with, never."""
    row = find_option(recipe, key)
    section, stages = key.split(".")[0], recipe.stages
    ahead = not begun or (section in stages and section not in stages[:begun]) or section in ("run", "export")
    fixed = section == "capture" or key in ("schema_version", "stages", "run.seed")
    if fixed or not (row.meaning.live or ahead):
        raise RecipeError(f"{key}: cannot change once the run has begun; start a new run with --set {key}=...")


def command_of(entry: Entry) -> Command:
    """The command that led to an entry by the user."""
    if entry.kind == "exclude":
        return ExcludeView(int(entry.key), bool(entry.value))
    if entry.kind in ("delete_inside", "delete_outside"):
        return DeleteSplats(int(entry.key), tuple(entry.value), entry.kind == "delete_inside")
    if entry.kind == "restore":
        return RestoreSplats(int(entry.key))
    return SetOption(entry.key, entry.value)
