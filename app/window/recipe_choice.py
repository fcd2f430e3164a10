"""Which recipe the next run takes, and its goal, kept apart from what the user said about the photos."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from app.window import presets

if TYPE_CHECKING:
    from app.window.studio import Studio
    from engine.scene.gaussians import Kind


def choose_recipe(studio: Studio, name: str, mesh: str = "", splats: Path | str = "", kind: Kind | None = None) -> None:
    """Take a named recipe for the next run; the goal and how photos are read stay.

    `mesh` is the file to refine; `splats` the file that splats start from, and `kind` what it holds.
    """
    before = studio.recipe
    goal = presets.matching(before, studio.default_recipe())
    if before.name != name:
        studio.load_recipe(name)
        if goal:
            studio.apply_preset(goal)
    recipe = copy.deepcopy(studio.recipe)
    recipe.capture, recipe.run = copy.deepcopy(before.capture), copy.deepcopy(before.run)
    recipe.refine.mesh, recipe.splats.start_file = mesh, str(splats)
    recipe.splats.kind = kind or recipe.splats.kind
    studio.set_recipe(recipe)


def chosen_goal(studio: Studio) -> str:
    """The preset that the recipe follows; empty where it was changed by hand."""
    return presets.matching(studio.recipe, studio.default_recipe())
