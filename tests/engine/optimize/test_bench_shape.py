"""The benchmark's shape step is a real one: it brings the mesh closer to its pictures."""

from __future__ import annotations

from engine.optimize.bench_shape import shape_step


def test_shape_step_lowers_the_loss():
    step = shape_step(subdivisions=2, views=2, size=32)
    losses = [step() for _ in range(40)]
    assert losses[-1] < 0.2 * losses[0]
