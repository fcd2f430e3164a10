"""A project's scene as its newest checkpoint has it, for those who write or draw it: no session, no photo decoded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

from engine.capture import open_capture
from engine.device import Device
from engine.optimize.capture_options import capture_options
from engine.optimize.checkpoint import read_checkpoint
from engine.optimize.messages import Message, Notice
from engine.optimize.moved_capture import advising_restore, place_of_capture, undecoded
from engine.optimize.options import set_option
from engine.optimize.project import Project
from engine.optimize.scene_state import SceneState
from engine.optimize.session_start import named_rasterizer
from engine.optimize.session_state import scene_of_checkpoint
from engine.optimize.stage import StageContext
from engine.optimize.views import ViewSet

ON_PROCESSOR = Device("cpu", "numba")


def saved_context(project: Project, moved: Path | None, notify: Callable[[Message], None]) -> StageContext:
    """The context of a run that is at its newest checkpoint, on the processor; nothing can be stepped in it.

    `moved` says where the photos are now; of them only headers are read. Raises UnrenderError.
    """
    place = place_of_capture(project, moved)
    checkpoint = read_checkpoint(project.checkpoints)
    recipe = copy.deepcopy(project.recipe)
    for key, value in (checkpoint.values["options"] if checkpoint else {}).items():
        if key != "schema_version":
            set_option(recipe, key, value)
    with advising_restore():
        capture = undecoded(project, open_capture(place, capture_options(project.recipe.capture)))
    for text in [*capture.warnings, *(checkpoint.notices if checkpoint else [])]:
        notify(Notice(text, "warning"))
    return StageContext(
        recipe=recipe,
        capture=capture,
        views=ViewSet(capture),
        scene=scene_of_checkpoint(checkpoint) if checkpoint else SceneState(),
        rasterizer=named_rasterizer(ON_PROCESSOR.rasterizer),
        device=ON_PROCESSOR,
        exports=project.exports,
        notify=notify,
    )
