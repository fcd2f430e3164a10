"""How soon density control may reach the budget that stage `splats` gives it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from engine.optimize.stages.splats import SplatsStage


@pytest.mark.parametrize(("name", "least", "most"), [("error", 0.6, 0.75), ("relocation", 0.2, 0.35)])
@pytest.mark.parametrize("steps", [2500, 5000])
def test_the_budget_is_full_after_its_share_of_the_rounds(name, least, most, steps):
    """Relocation moves what is there, so that it needs all of it early (after a fifth of the run in its paper)."""
    stage = SplatsStage()
    stage.options = SimpleNamespace(density=name)
    stage.context = SimpleNamespace(recipe=SimpleNamespace(splats=SimpleNamespace(steps=steps)))
    stage.budget, stage.radius, first = 20_000, 1.0, 2500
    stage._control(first)
    options = stage.density.options
    rounds = (options.stop - options.start) / options.interval
    needed = math.log(stage.budget / first) / math.log(1 + options.grow_share)
    assert least * rounds <= needed <= most * rounds
