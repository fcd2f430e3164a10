"""A capture in memory and a stage that only draws and adds, to test what drives stages; also run as a script."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from engine.optimize.messages import StepReport
from engine.optimize.options import option
from engine.optimize.session import Session
from engine.optimize.stage import IteratingStage, Stage, register
from engine.scene import Frame
from engine.scene.camera import look_at


@dataclass(frozen=True)
class SmallPixels:
    color: np.ndarray
    mask: np.ndarray | None


class SmallCapture:
    """Six views of a disc; every third is for testing."""

    format = "memory"
    warnings: list[str] = []
    has_masks = True
    has_depth = False
    up, up_source = np.array([0.0, 0.0, 1.0]), "test"

    def __init__(self, path: str = "memory-capture", size: tuple[int, int] = (12, 16)) -> None:
        self.path = Path(path)
        height, width = size
        random = np.random.default_rng(5)
        y, x = np.mgrid[:height, :width] + 0.5
        disc = ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (0.4 * height) ** 2).astype(np.float32)
        self.frames, self._pixels = [], []
        for i in range(6):
            angle = i / 6 * 2 * np.pi
            eye = np.array([3 * np.cos(angle), 3 * np.sin(angle), 0.5])
            camera = look_at(eye, np.zeros(3), self.up, float(width), width, height)
            self.frames.append(Frame(f"view{i}", camera, "test" if i % 3 == 2 else "train", Path(f"view{i}.png")))
            self._pixels.append(SmallPixels(random.random((height, width, 3), np.float32), disc))

    @property
    def train(self) -> list[int]:
        return [i for i, frame in enumerate(self.frames) if frame.split == "train"]

    @property
    def test(self) -> list[int]:
        return [i for i, frame in enumerate(self.frames) if frame.split == "test"]

    def pixels(self, index: int) -> SmallPixels:
        return self._pixels[index]

    def check_images(self, progress=None) -> SmallCapture:
        return self

    def fingerprint(self) -> str:
        return "small"


@dataclass
class DrawSection:
    steps: int = option(150, "steps", low=0)
    batch: int = option(4, "photos per step", low=1, live=True)
    learning_rate: float = option(0.05, "Adam step", low=0.0, live=True)
    poison: int = option(-1, "step at which the loss is NaN while the rate is high", live=True)
    hunger: int = option(0, "largest batch that fits; 0 is any", live=True)


@dataclass
class RunSection:
    seed: int = option(3, "seed", low=0)
    checkpoint_seconds: float = option(0.0, "time between checkpoints", unit="s", low=0.0, live=True)
    evaluate: bool = option(False, "evaluate at the end")


@dataclass
class LateSection:
    amount: float = option(1.0, "what the last stage multiplies with", low=0.0)


@dataclass
class SmallRecipe:
    name: str = option("small", "name")
    schema_version: int = option(1, "schema")
    stages: tuple[str, ...] = option(("test-start", "draw", "test-late"), "stages")
    run: RunSection = field(default_factory=RunSection)
    draw: DrawSection = field(default_factory=DrawSection)
    late: LateSection = field(default_factory=LateSection)


@register
class StartStage(Stage):
    name = "test-start"

    def begin(self, context) -> None:
        self.context = context

    def finish(self) -> None:
        self.context.progress(self.name, 0.5, "half")
        self.context.scene.tensors["start"] = torch.randn(7, generator=self.context.generator)


@register
class DrawStage(IteratingStage):
    """Adam on 7 numbers toward random targets and the views' mean colours, with dropout from torch's own generator."""

    name = "draw"

    def begin(self, context) -> None:
        self.context = context
        self.x = context.scene.tensors["start"].clone().requires_grad_()
        self.optimizers = [torch.optim.Adam([self.x], lr=context.recipe.draw.learning_rate)]
        self.average = 0.0

    @property
    def steps(self) -> int:
        return self.context.recipe.draw.steps

    def step(self, index: int) -> dict[str, float]:
        options = self.context.recipe.draw
        if options.hunger and options.batch > options.hunger:
            raise MemoryError
        views = self.context.views.batch(options.batch)
        target = torch.randn(7, generator=self.context.generator) + float(self.context.random.random())
        target = target + sum(view.premultiplied.mean() for view in views)
        kept = torch.nn.functional.dropout(self.x, 0.2)
        loss = ((kept - target) ** 2).mean()
        self.optimizers[0].zero_grad()
        loss.backward()
        if index == options.poison and self.learning_rate_scale > 0.3:
            self.x.grad.fill_(float("nan"))
        self.optimizers[0].step()
        self.average = 0.9 * self.average + 0.1 * float(loss.detach())
        return {"loss": float(loss.detach()), "norm": float(self.x.detach().norm())}

    def state(self):
        return {"x": self.x}, {"average": self.average}

    def restore(self, context, tensors, values) -> None:
        if not self.optimizers:
            self.begin(context)
        with torch.no_grad():
            self.x.copy_(tensors["x"])
        self.average = values["average"]

    def finish(self) -> None:
        self.context.scene.tensors["x"] = self.x.detach().clone()
        self.context.scene.values["average"] = self.average


@register
class LateStage(Stage):
    name = "test-late"

    def begin(self, context) -> None:
        self.context = context

    def finish(self) -> None:
        scene = self.context.scene
        scene.tensors["end"] = scene.tensors["x"] * self.context.recipe.late.amount + torch.randn(7)


def small_recipe(**draw) -> SmallRecipe:
    """A recipe whose draw section has the given values."""
    return SmallRecipe(draw=DrawSection(**draw))


def create(folder: Path, checkpoint_seconds: float | None = None, **draw) -> Session:
    """A session on the small capture; `draw` are options of the stage draw."""
    recipe = small_recipe(**draw)
    if checkpoint_seconds is not None:
        recipe.run.checkpoint_seconds = checkpoint_seconds
    return Session.create(SmallCapture(), recipe, folder, device="cpu")


def reopen(folder: Path, *overrides: str) -> Session:
    """The session of a folder, gone on with."""
    return Session.open(folder, SmallRecipe, overrides, device="cpu", capture=SmallCapture())


def result(session: Session) -> torch.Tensor:
    """What a finished run leaves."""
    return session.context.scene.tensors["end"]


def uninterrupted(folder: Path, **draw) -> torch.Tensor:
    """The result of a run from beginning to end."""
    with create(folder, **draw) as session:
        assert session.run()
        return result(session)


if __name__ == "__main__":
    # small_run.py FOLDER STEPS [DEATH]: begin or go on, say every step, and print the result's bits at the end; the
    # process is killed when it has taken DEATH steps
    folder, steps, death = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None

    def say(message) -> None:
        print(type(message).__name__, getattr(message, "total_step", ""), flush=True)
        if isinstance(message, StepReport) and message.total_step == death:
            os.kill(os.getpid(), signal.SIGKILL)

    session = reopen(folder) if (folder / "project.toml").exists() else create(folder, steps=steps)
    session.run(say)
    print("result", result(session).numpy().tobytes().hex(), flush=True)
