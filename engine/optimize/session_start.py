"""What must be right before a session exists: recipe, photographs, deterministic arithmetic."""

from __future__ import annotations

import os
import random
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from engine.errors import RecipeError
from engine.optimize.capture_options import capture_options
from engine.optimize.stage import STAGES

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.messages import Message
    from engine.optimize.project import Project
    from engine.optimize.session import Session
    from engine.raster import Rasterizer

T = TypeVar("T")


def check_recipe(recipe: Any) -> None:
    """Raise RecipeError for a recipe without stages or with an unknown one."""
    if not recipe.stages:
        raise RecipeError("stages is empty: name at least one stage")
    if not set(recipe.stages) <= set(STAGES):
        import engine.optimize.stages  # noqa: F401  (registers them)
    unknown = [name for name in recipe.stages if name not in STAGES]
    if unknown:
        raise RecipeError(f"unknown stage {unknown[0]!r}: use {', '.join(sorted(STAGES))}")


def opened_capture(
    capture: Path | str | Capture,
    recipe: Any,
    progress: Callable[[int, int, str], None] | None,
    stages: tuple[str, ...] = (),
) -> Capture:
    """The capture with every photo decoded once, or CaptureError listing all that are bad.

    Before that, each of `stages` says what it misses; after it, what the photos cannot give.
    """
    if isinstance(capture, (str, Path)):
        from engine.capture import open_capture

        capture = open_capture(Path(capture), capture_options(recipe.capture))
    for name in stages:
        STAGES[name].check(recipe, capture)
    capture.check_images(progress)
    for name in stages:
        STAGES[name].check_photos(recipe, capture)
    return capture


def make_deterministic(seed: int) -> None:
    """Seed the global generators; let torch use deterministic algorithms only, and leave the cores to our kernels."""
    torch.set_num_threads(1)  # two pools of threads fight for the same cores
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # every kernel writes all of its output
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def named_rasterizer(name: str) -> Rasterizer:
    """The rasterizer of that name, imported late."""
    from engine.raster import rasterizer

    return rasterizer(name)


def or_close(project: Project, build: Callable[[], T]) -> T:
    """What `build` returns; the project's lock is released when it fails."""
    try:
        return build()
    except BaseException:
        project.close()
        raise


def weak_notify(session: Session) -> Callable[[Message], None]:
    """Its `notify` for its own context, which would otherwise keep it alive together with photos and scene."""
    alive = weakref.ref(session)

    def notify(message: Message) -> None:
        session = alive()
        if session is not None:
            session.notify(message)

    return notify


def plain(value: Any) -> Any:
    """An option's value as JSON holds it."""
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
