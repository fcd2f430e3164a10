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

from engine.device import choose_device
from engine.errors import RecipeError
from engine.kernels.memory import keep_freed_memory
from engine.optimize.capture_options import capture_options
from engine.optimize.project import check_folder
from engine.optimize.stage import STAGES, Stage
from engine.optimize.truth import find_truth

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.messages import Message
    from engine.optimize.project import Project
    from engine.optimize.session import Session
    from engine.raster import Rasterizer

T = TypeVar("T")


def check_start(capture: Path | str | Capture, recipe: Any, out: Path | str, device: str, overwrite: bool) -> None:
    """Raise UnrenderError for what is wrong with a run and can be told before any photo is looked at.

    Where `capture` names photos without poses, that they have no masks too is told before poses are searched.
    """
    check_folder(out, overwrite)
    check_recipe(recipe)
    choose_device(device)
    if isinstance(capture, (str, Path)):
        from engine.capture.photos import require_photo_masks
        from engine.capture.reconstruction import posed_path

        options = capture_options(recipe.capture)
        needs_masks = any(STAGES[name].needs_masks(recipe) for name in recipe.stages)
        if needs_masks and posed_path(capture, options.masks is not None) is None:
            require_photo_masks(Path(capture), options)


def check_recipe(recipe: Any) -> None:
    """Raise RecipeError for a recipe without stages, with an unknown one, or with one before what it starts from."""
    if not recipe.stages:
        raise RecipeError("stages is empty: name at least one stage")
    if not set(recipe.stages) <= set(STAGES):
        import engine.optimize.stages  # noqa: F401  (registers them)
    unknown = [name for name in recipe.stages if name not in STAGES]
    if unknown:
        raise RecipeError(f"unknown stage {unknown[0]!r}: use {', '.join(sorted(STAGES))}")
    there: set[str] = set()
    for name in recipe.stages:
        needed = STAGES[name].needs(recipe)
        if needed and there.isdisjoint(needed):
            raise RecipeError(f"stage {name} needs {' or '.join(needed)}: {_earlier(name, needed, recipe)}")
        there.update(STAGES[name].leaves(recipe))


def _earlier(name: str, needed: tuple[str, ...], recipe: Any) -> str:
    """What to do for stage `name` to find one of `needed`."""
    sources = sorted(one for one, stage in STAGES.items() if _gives(stage, needed, recipe) and one != name)
    return f"let stages name {' or '.join(sources)} before it"


def _gives(stage: type[Stage], needed: tuple[str, ...], recipe: Any) -> bool:
    try:
        return not set(needed).isdisjoint(stage.leaves(recipe))
    except AttributeError:  # a recipe without that stage's section
        return False


def read_capture(capture: Path | str | Capture, recipe: Any) -> Capture:
    """The capture at a path, read as the recipe says but for its pixels; a capture stays as it is."""
    if isinstance(capture, (str, Path)):
        from engine.capture import open_capture

        capture = open_capture(Path(capture), capture_options(recipe.capture))
    return capture


def opened_capture(
    capture: Path | str | Capture,
    recipe: Any,
    progress: Callable[[int, int, str], None] | None,
    stages: tuple[str, ...] = (),
) -> Capture:
    """The capture with every photo decoded once, or CaptureError listing all bad ones; what is given stays as it is.

    Before that, each of `stages` says what it misses, and a truth to be compared with whether it can be read; after
    it, what the photos cannot give.
    """
    capture = read_capture(capture, recipe)
    for name in stages:
        if STAGES[name].needs_masks(recipe):
            capture.require_masks()
        STAGES[name].check(recipe, capture)
    if recipe.run.evaluate:
        find_truth(capture.path)
    capture = capture.check_images(progress)
    for name in stages:
        STAGES[name].check_photos(recipe, capture)
    return capture


def make_deterministic(seed: int) -> None:
    """Seed the global generators; let torch use deterministic algorithms only, and leave the cores to our kernels.

    What a step frees is kept for the next.
    """
    torch.set_num_threads(1)  # two pools of threads fight for the same cores
    keep_freed_memory()
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


def or_abandon(project: Project, build: Callable[[], T]) -> T:
    """What `build` returns; a project just made goes again when it fails."""
    try:
        return build()
    except BaseException:
        project.abandon()
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
