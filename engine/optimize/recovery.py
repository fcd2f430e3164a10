"""Going back to the last good state with another setting: after non-finite values, a full memory, a lost device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import GeometryError
from engine.optimize.guard import Snapshot, restore_snapshot
from engine.optimize.options import find_option, set_option
from engine.optimize.stage import Stage, StageContext

if TYPE_CHECKING:
    from engine.device import Device
    from engine.errors import DeviceLost

MAX_SETBACKS = 8  # in a row, before a run is given up
MEMORY_KEYS = ("batch", "image_size", "resolution", "texture_size")  # what takes memory, the mildest change first
LEAST_SIZE = 64  # no image, grid or texture goes below it by itself


@dataclass(frozen=True)
class Change:
    """An option that recovery lowered, for history and user."""

    key: str
    value: float
    text: str


def lowered_learning_rate(stage: Stage, context: StageContext, snapshot: Snapshot, setbacks: int, at: int) -> Change:
    """Put `stage` back to `snapshot` with its learning rates halved `setbacks` times; `at` is the step that failed.

    Raises GeometryError when that has been tried often enough.
    """
    if setbacks > MAX_SETBACKS:
        raise GeometryError(
            f"stage {stage.name}: values stay non-finite after {MAX_SETBACKS} halvings of the learning rate; "
            "look at the photos and masks with doctor, or lower its weights"
        )
    restore_snapshot(snapshot, stage, context)
    scale = stage.learning_rate_scale * 0.5**setbacks
    stage.scale_learning_rate(0.5**setbacks)
    text = (
        f"{stage.name}: non-finite values at step {at}; went back to step {snapshot.index} "
        f"and lowered the learning rates to {scale:g} of the recipe's"
    )
    return Change(f"{stage.name}.learning_rate_scale", scale, text)


def lowered_memory(recipe: Any, stage: str, largest_image: int, running: bool) -> Change:
    """Halve the first option of `stage` that takes memory and can still go down; a running stage keeps its grids.

    Raises GeometryError when nothing is left to lower.
    """
    section = getattr(recipe, stage, None)
    for name in MEMORY_KEYS[:2] if running else MEMORY_KEYS[::-1]:
        value = getattr(section, name, None)
        if value is None:
            continue
        row = find_option(recipe, f"{stage}.{name}")
        before = largest_image if name == "image_size" and value == 0 else value
        after = before // 2
        if after >= max(row.meaning.low or 1, 1 if name == "batch" else LEAST_SIZE):
            set_option(recipe, row.key, after)
            return Change(row.key, after, f"{stage}: out of memory; lowered {row.key} from {before} to {after}")
    raise GeometryError(
        f"stage {stage}: out of memory and nothing left to lower; use fewer or smaller photos (capture.max_size)"
    )


def left_device(stage: str, device: Device, error: DeviceLost, index: int) -> Change:
    """That from iteration `index` on `device` draws, since WebGPU failed with `error`."""
    text = f"{stage}: {error.text}; went back to step {index}, and from now on {device.rasterizer} draws instead"
    return Change("device", device.rasterizer, text)
