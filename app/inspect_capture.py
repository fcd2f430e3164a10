"""`unrender doctor`: what a capture holds and what is wrong with it, in plain words; imports no torch."""

from __future__ import annotations

from pathlib import Path

from engine.optimize.capture_options import capture_options
from engine.optimize.recipe import Recipe, override


def doctor(path: Path, overrides: list[str]) -> int:
    """Print the report; 1 when there is a problem that would stop or spoil a run."""
    from engine.capture.doctor import examine

    recipe = Recipe()
    override(recipe, overrides)
    report = examine(path, capture_options(recipe.capture))
    for line in report.lines():
        print(line)
    return 1 if report.problems else 0
