"""The contract of a stage: begin, step, state, restore, finish; and what a stage is given to work with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.device import Device
from engine.errors import Cancelled
from engine.optimize.clock import StepClock
from engine.optimize.extra_losses import ExtraLosses
from engine.optimize.messages import Message, Notice, Progress
from engine.optimize.scene_preview import scene_preview
from engine.optimize.scene_state import SceneState

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.views import ViewSet
    from engine.raster import Rasterizer


@dataclass
class StageContext:
    """What every stage of one session shares. Draw random numbers only from `generator`, `random` and torch's global
    generator: those are checkpointed."""

    recipe: Any  # live: read an option when it is used, not once in `begin`, where it is marked live
    capture: Capture
    views: ViewSet
    scene: SceneState
    rasterizer: Rasterizer
    device: Device
    exports: Path = Path("exports")  # the project's exports/ folder; the session sets it
    generator: torch.Generator = field(default_factory=torch.Generator)  # CPU
    random: np.random.Generator = field(default_factory=np.random.default_rng)
    notify: Callable[[Message], None] = lambda message: None
    cancelled: Callable[[], bool] = lambda: False  # whether the user asked to stop
    kept: dict[str, Any] = field(default_factory=dict)  # what one preview spares the next; never read by a step
    extra_losses: ExtraLosses = field(init=False)  # what scripts add to the photo loss

    def __post_init__(self) -> None:
        notify = self.notify  # and not `self.notice`: what holds itself outlives its run, with all its photos
        self.extra_losses = ExtraLosses(lambda text: notify(Notice(text)))

    def forget(self) -> None:
        """Free what only spared the stage that has ended some time."""
        self.kept.clear()
        self.views.forget()

    def options(self, stage: str) -> Any:
        """The recipe's section of a stage."""
        return getattr(self.recipe, stage)

    def progress(self, stage: str, done: float, text: str = "") -> None:
        """Report work without steps. Raises Cancelled when the user asked to stop."""
        self.notify(Progress(stage, float(done), text))
        if self.cancelled():
            raise Cancelled(f"stopped during {stage}; nothing that was written is lost")

    def notice(self, text: str, **details: Any) -> None:
        """Tell the user something while the run goes on."""
        self.notify(Notice(text, details=details))


class Stage(ABC):
    """One link of a recipe's chain; a fresh object is made for each run or resume.

    A stage with `steps == 0` does all its work in `begin` or `finish`, reports through `context.progress` and has
    nothing to save: when it is interrupted it starts over. `state` returns live tensors; the session copies them,
    and it saves and restores the state of `optimizers` by itself, after `restore`.
    """

    name: ClassVar[str]
    context: StageContext  # set by `begin`
    moved: ClassVar[tuple[str, ...]] = ()  # what each of `optimizers` moves, in words, for plots

    def __init__(self) -> None:
        self.optimizers: list[torch.optim.Optimizer] = []
        self.clock = StepClock()  # an iterating stage's `step` starts it and notes laps
        self.learning_rate_scale = 1.0  # the session halves it after non-finite values; multiply every rate by it

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        """What it starts from, in the words of `leaves`: one of these; empty where it can come first."""
        return ()

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        """What it leaves in the scene for stages to come, in words."""
        return ()

    @classmethod
    def needs_masks(cls, recipe: Any) -> bool:
        """Whether it cannot do without masks."""
        return False

    @classmethod  # noqa: B027  (most stages need nothing from outside)
    def check(cls, recipe: Any, capture: Capture) -> None:
        """Raise UnrenderError for what is missing, before a project is made."""

    @classmethod  # noqa: B027
    def check_photos(cls, recipe: Any, capture: Capture) -> None:
        """The same once every photo has been decoded; must be quick."""

    @property
    def steps(self) -> int:
        """How many iterations; none unless it is an IteratingStage."""
        return 0

    @abstractmethod
    def begin(self, context: StageContext) -> None:
        """Build parameters and optimizers from `context.scene`."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON-able values): all that `restore` needs to go on with the same bits."""
        return {}, {}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take the place of `begin`, or go back in a running stage, from what `state` returned.

        Must copy what it keeps: the session may restore the same tensors again.
        """
        self.begin(context)

    def finish(self) -> None:  # noqa: B027  (stages that only look have nothing to write)
        """Write the result into `context.scene`, in place of its arrays and not into them: where it is stopped, the
        scene is as before and it is done again."""

    def preview(self) -> dict[str, Any]:
        """The fields of a SceneSnapshot that show this moment, as copies; by default what is in `context.scene`.

        Runs between steps on their thread. Must be quick, draw no random numbers and change nothing a step reads.
        """
        return scene_preview(self.context)

    def topology(self) -> tuple[np.ndarray, int] | None:
        """(triangles [F,3], number of vertices) of the surface being optimized, where there is one."""
        return None

    def figures(self) -> dict[str, float]:
        """Numbers of this moment that are no losses, such as how many primitives there are, by name."""
        return {}

    def learning_rates(self) -> dict[str, float]:
        """The optimizers' rates of the last step, by what they move."""
        names = self.moved or tuple(f"optimizer {number + 1}" for number in range(len(self.optimizers)))
        rates = (float(optimizer.param_groups[0]["lr"]) for optimizer in self.optimizers)
        return dict(zip(names, rates, strict=True))

    def parameters(self) -> Iterable[Tensor]:
        """What is checked for non-finite values; by default everything the optimizers hold."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                yield from group["params"]

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply `learning_rate_scale` and the optimizers' current rates."""
        self.learning_rate_scale *= factor
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] *= factor


class IteratingStage(Stage):
    """A stage that works in steps; the session may go on, go back and save between any two."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many iterations; constant after `begin`."""

    @abstractmethod
    def step(self, index: int) -> dict[str, float]:
        """One iteration; the loss terms, with `loss`, and `psnr` in dB where it comes for free."""


STAGES: dict[str, type[Stage]] = {}


# Other implementations of stages, by the name of the stage that they stand in for.
VARIANTS: dict[str, list[tuple[Callable[[StageContext], bool], type[Stage]]]] = {}


def stage_for(name: str, context: StageContext) -> Stage:
    """A fresh object of the stage called `name`: of the first variant that serves the context, else of the stage."""
    for serves, variant in VARIANTS.get(name, []):
        if serves(context):
            return variant()
    return STAGES[name]()


def stands_in(serves: Callable[[StageContext], bool]) -> Callable[[type[Stage]], type[Stage]]:
    """Class decorator: make a variant of the stage of the same name known; it takes over where `serves` says so."""

    def add(variant: type[Stage]) -> type[Stage]:
        VARIANTS.setdefault(variant.name, []).append((serves, variant))
        return variant

    return add


def register(stage: type[Stage]) -> type[Stage]:
    """Class decorator: make a stage known by its name."""
    STAGES[stage.name] = stage
    return stage
