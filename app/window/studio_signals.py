"""What the studio tells: its signals, and the state they are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtGui import QUndoStack

from app.window.background import described
from app.window.recipe_state import RecipeState
from engine.errors import Cancelled
from engine.optimize.messages import Notice

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.recipe import Recipe
    from engine.optimize.session import Session
    from engine.optimize.snapshot import SceneSnapshot
    from engine.scene import Environment


@dataclass(frozen=True)
class Picked:
    """A point of the surface that was clicked."""

    snapshot: SceneSnapshot  # that was on the screen
    triangle: int
    weights: tuple[float, float, float]  # of its three corners


State = Literal["empty", "opening", "ready", "running", "paused", "finished", "failed"]


class StudioSignals(QObject):
    """Every signal is emitted on the GUI thread."""

    state_changed = Signal(str)
    capture_changed = Signal(object)  # Capture | None
    doctor_changed = Signal(object)  # Report | None
    session_changed = Signal(object)  # Session | None
    steps_reported = Signal(list)  # list[StepReport], at most 20 bundles per second
    message_received = Signal(object)  # every other message of the session
    snapshot_changed = Signal(object)  # SceneSnapshot | None
    recipe_changed = Signal(str)  # key, "" = everything
    capture_options_changed = Signal()  # before a run: the photos have to be read again
    excluded_changed = Signal(object)  # set[int]
    scores_changed = Signal(object)  # dict[int, float]; Qt knows no dict with whole numbers as keys
    test_measured = Signal(int, float)  # total step of a snapshot, mean PSNR of all test photos with it
    view_frame_changed = Signal(object)  # int | None
    relight_changed = Signal(object)  # Environment | None
    region_changed = Signal(object)  # [2,3] | None
    selection_changed = Signal(object)  # [2,3] the box that selects splats, or None
    picking_changed = Signal(bool)  # whether a click in the view picks a point of the surface
    picked = Signal(object)  # Picked
    mark_changed = Signal(object)  # [3] a point to mark in the view, or None
    project_changed = Signal(object)  # Path | None
    project_moved = Signal(object)  # Path: where the session goes on from now on
    held_changed = Signal(bool)  # whether a script's function holds the run's thread
    failed = Signal(str, str)  # sentence, details
    photos_missing = Signal(object)  # Path of a project that could not be opened for that reason, after `failed`
    busy_changed = Signal(str, float)  # label of a long action and 0..1 (-1: unknown); "" when done
    ending = Signal()  # the threads are about to end; those of others must too
    closed = Signal()  # after `shut_down`
    stayed = Signal()  # after `shut_down`, where what was to be saved could not be

    def __init__(self, settings: QSettings | None, parent: QObject | None) -> None:
        super().__init__(parent)
        self.settings = settings or QSettings()
        self.state: State = "empty"
        self.capture: Capture | None = None
        self.doctor: Any = None  # the capture's Report, once it is there
        self.snapshot: Any = None  # SceneSnapshot
        self.scores: dict[int, float] = {}  # frame -> PSNR of the newest snapshot, dB
        self.scored_at: dict[int, int] = {}  # frame -> step of the snapshot that its score is of
        self.excluded: set[int] = set()
        self.view_frame: int | None = None  # the photo looked through; None: a free camera
        self.relight: Environment | None = None  # a light for looking only; None: the one being optimized
        self.selection: np.ndarray | None = None  # [2,3] the box that selects splats, capture units
        self.picking = False
        self.mark: np.ndarray | None = None
        self.project_folder: Path | None = None  # where the next run goes; None: a new folder below ~/Unrender
        self.held = False  # a script's function holds the run's thread; `stop` ends it
        self.has_ended = False  # `close` was called: nothing works any more
        self.undo_stack = QUndoStack(self)
        self._session: Session | None = None
        self._recipe = RecipeState(self)

    @property
    def recipe(self) -> Recipe:
        """What the next run will use, or a copy of the running session's."""
        return self._recipe.recipe

    @property
    def session(self) -> Session | None:
        """The session; between its steps `call` reaches it, its simple attributes may be read at any time."""
        return self._session

    @property
    def project(self) -> Path | None:
        """The folder of the session's project."""
        return self._session.project.folder if self._session is not None else None

    @property
    def can_save(self) -> bool:
        """Whether there is a run in a whole state: some errors leave a step half done."""
        return self._session is not None and (self.state != "failed" or not self._session.half_done)

    @property
    def stages(self) -> list[str]:
        """The recipe's stages, in order."""
        return list(self.recipe.stages)

    @property
    def region(self) -> np.ndarray | None:
        """The box [2,3] that limits the reconstruction, capture units."""
        region = self.recipe.capture.region
        return np.array(region, dtype=np.float64).reshape(2, 3) if len(region) == 6 else None

    def set_project_folder(self, path: Path | str | None) -> None:
        """Where the next run goes; None chooses a new folder below ~/Unrender."""
        self.project_folder = Path(path) if path else None
        self.project_changed.emit(self.project_folder)

    def set_selection(self, box: np.ndarray | None) -> None:
        """Select splats by a box [2,3], or no longer."""
        self.selection = None if box is None else np.array(box, float)
        self.selection_changed.emit(self.selection)

    def set_picking(self, picking: bool) -> None:
        """Have clicks in the view pick points of the surface, or no longer."""
        if picking != self.picking:
            self.picking = picking
            self.picking_changed.emit(picking)

    def set_mark(self, point: np.ndarray | None) -> None:
        """Mark a point [3] of the scene in the view, or none."""
        self.mark = None if point is None else np.array(point, float)
        self.mark_changed.emit(self.mark)

    def notice(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """Tell the user something, as the session does."""
        self.message_received.emit(Notice(text, level))

    def say(self, error: BaseException, more: str = "") -> None:
        """Tell the user of an error, unless it is that something was cancelled; `more` is a paragraph below it."""
        if not isinstance(error, Cancelled):
            sentence, details = described(error)
            self.failed.emit(f"{sentence}\n\n{more}" if more else sentence, details)
