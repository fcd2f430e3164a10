"""What a session says to its front end, and the commands it takes; typed, so that nobody compares texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class StepReport:
    """One iteration, or the completion of a stage that does not iterate (`steps` is then 0)."""

    stage: str
    step: int  # steps done in this stage
    steps: int  # steps of this stage
    total_step: int
    total_steps: int
    loss: float
    terms: dict[str, float]
    psnr: float | None  # dB of the last training batch, where the stage gives it
    seconds: float  # since the run began, over resumes
    learning_rates: dict[str, float] = field(default_factory=dict)  # of this step, by what they move
    timings: dict[str, float] = field(default_factory=dict)  # seconds of this step's parts
    figures: dict[str, float] = field(default_factory=dict)  # what the stage counts besides, by name
    mesh: dict[str, float] = field(default_factory=dict)  # faces, components, ... where just measured, else empty


@dataclass(frozen=True)
class EvalReport:
    """Metrics over the test views, as metrics.json has them."""

    metrics: dict[str, Any]


@dataclass(frozen=True)
class PreviewReady:
    """`Session.latest` holds a newer snapshot of the scene."""

    version: int


@dataclass(frozen=True)
class StageChanged:
    """A stage begins, finishes its work, or is done."""

    stage: str
    index: int
    count: int
    state: Literal["begin", "finish", "done"]


@dataclass(frozen=True)
class Progress:
    """How far work without steps has come."""

    stage: str
    done: float  # 0 to 1
    text: str = ""


@dataclass(frozen=True)
class Notice:
    """Something the user should know; the run goes on."""

    text: str
    level: Literal["info", "warning"] = "info"
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unsaved(Notice):
    """The run goes on, although a checkpoint could not be written."""


@dataclass(frozen=True)
class Failed:
    """The run has ended with an error; `text` is meant for the user."""

    text: str
    stage: str = ""


Message = StepReport | EvalReport | PreviewReady | StageChanged | Progress | Notice | Failed


@dataclass(frozen=True)
class SetOption:
    """Change an option between steps; live options at once, others are refused with a Notice."""

    key: str
    value: Any


@dataclass(frozen=True)
class Pause:
    """Hold after the current step, or go on when `paused` is false."""

    paused: bool = True


@dataclass(frozen=True)
class Stop:
    """Write a checkpoint and return from `run`."""


@dataclass(frozen=True)
class ExcludeView:
    """Leave a photograph out of training, or take it in again."""

    frame: int  # index into capture.frames
    excluded: bool = True


@dataclass(frozen=True)
class DeleteSplats:
    """Take out the splats inside or outside of a box."""

    edit: int  # a number to put them back by
    box: tuple[float, float, float, float, float, float]  # least and greatest corner, capture units
    inside: bool = True


@dataclass(frozen=True)
class RestoreSplats:
    """Put back what a DeleteSplats took out."""

    edit: int


Command = SetOption | Pause | Stop | ExcludeView | DeleteSplats | RestoreSplats
