"""A finished run of the tiny capture, made once for all tests that only look at it or copy it."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.optimize.options import set_option
from engine.optimize.recipe import load_recipe
from tests.app.window.drawn_capture import RECIPE

_MADE: dict[Path, Path] = {}


def finished_project(capture: Path, target: Path, until: int | None = None) -> Path:
    """A copy in `target` of a project run to its end on `capture`, or run anew until so many steps."""
    from engine.optimize.session import Session

    if until is not None:
        with Session.create(capture, _recipe(), target) as session:
            session.run(until=until)
        return target
    if capture not in _MADE:
        folder = capture.with_name("finished")
        with Session.create(capture, _recipe(), folder) as session:
            session.run()
        _MADE[capture] = folder
    return Path(shutil.copytree(_MADE[capture], target))


def _recipe():
    recipe = load_recipe("object")
    for key, value in RECIPE.items():
        set_option(recipe, key, value)
    recipe.run.evaluate = False
    return recipe
