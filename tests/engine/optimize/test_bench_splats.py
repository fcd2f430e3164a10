"""The benchmark's step of training splats is a real one: it brings them closer to their picture."""

from __future__ import annotations

from engine.optimize.bench_splats import training_step


def test_training_step_lowers_the_loss():
    step = training_step(count=300, width=48, height=64)
    losses = [step() for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]
