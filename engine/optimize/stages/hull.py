"""The first stage: carve the masks' visual hull, the start of the iso-surface and the baseline it must beat."""

from __future__ import annotations

from typing import Any

import torch

from engine.capture import Capture
from engine.capture.hull import carve, object_box
from engine.capture.same_place import same_place_problem
from engine.errors import CaptureError
from engine.optimize.grids import surface_of
from engine.optimize.stage import Stage, StageContext, register

CHECKED = 100  # views at most that are looked at before a run begins
COARSE = 24  # cells per side then


@register
class HullStage(Stage):
    """Finds the object's box, carves a signed distance field in it, and keeps the hull's surface."""

    name = "hull"

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a distance field", "a visual hull")

    @classmethod
    def needs_masks(cls, recipe: Any) -> bool:
        return True

    @classmethod
    def check_photos(cls, recipe: Any, capture: Capture) -> None:
        """Raise CaptureError when the masks' hull is empty or the cameras tell nothing about depth."""
        chosen = capture.train[:: -(-len(capture.train) // CHECKED)]  # fewer views carve less
        cameras = [capture.frames[index].camera for index in chosen]
        masks = [capture.pixels(index).mask for index in chosen]
        problem = same_place_problem(
            [capture.frames[index].camera for index in capture.train], "all cameras to train from"
        )
        if problem:
            raise CaptureError(f"{capture.path}: {problem}")
        box = object_box(cameras, masks)
        try:
            carve(cameras, masks, box, min(COARSE, recipe.hull.resolution))
        except CaptureError:  # empty, or too thin for these cells
            carve(cameras, masks, box, recipe.hull.resolution)

    def begin(self, context: StageContext) -> None:
        self.context = context

    def finish(self) -> None:
        context, scene = self.context, self.context.scene
        context.capture.require_masks()
        cameras, masks = [], []
        for done, index in enumerate(context.capture.train):
            cameras.append(context.capture.frames[index].camera)
            masks.append(context.capture.pixels(index).mask)
            context.progress(self.name, 0.5 * done / len(context.capture.train), "reading masks")
        scene.box = object_box(cameras, masks)
        scene.field = carve(cameras, masks, scene.box, context.recipe.hull.resolution)
        context.progress(self.name, 0.9, "extracting the hull")
        scene.tensors["hull_field"] = torch.from_numpy(scene.field)  # later stages may dig deeper than is right
        scene.hull = surface_of(scene.field, scene.box)
        context.progress(self.name, 1.0, f"hull of {len(scene.hull.triangles):,} faces")
