"""The polynomials inside compositing against double precision."""

from __future__ import annotations

import numpy as np

from engine.splats.numba_composite import exp2, exp2_of, log2

ROUNDING = 2e-7  # relative; half a unit in the last place is 6e-8


def test_powers_of_two_are_right_to_rounding():
    random = np.random.default_rng(0)
    below = np.append(random.uniform(-40, 0, 2000), [0, -0.5, -1, -1.5, -39.9]).astype(np.float32)
    either = np.append(random.uniform(-125, 60, 2000), [0, 0.5, 1, 60]).astype(np.float32)
    for function, powers in ((exp2, below), (exp2_of, either)):
        values = np.array([function(power) for power in powers])
        np.testing.assert_allclose(values, np.exp2(powers.astype(np.float64)), rtol=ROUNDING)
        assert function(np.float32(0)) == 1


def test_powers_out_of_range_end_at_the_range():
    assert exp2(np.float32(-1e30)) == 2.0**-40
    assert exp2_of(np.float32(1e30)) == 2.0**60


def test_logarithms_are_right_to_rounding():
    random = np.random.default_rng(0)
    values = np.exp2(np.append(random.uniform(-99, 60, 2000), random.uniform(-1, 1, 500))).astype(np.float32)
    ours, truth = np.array([log2(value) for value in values]), np.log2(values.astype(np.float64))
    np.testing.assert_allclose(ours, truth, rtol=ROUNDING, atol=ROUNDING)
    assert [log2(np.float32(value)) for value in (0.5, 1, 2, 1024)] == [-1, 0, 1, 10]
