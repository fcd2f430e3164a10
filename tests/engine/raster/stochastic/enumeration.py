"""Every sign vector of a small scene: what the estimator gives on the mean, and what it promises.

A function f of n parameters is evaluated at all 2^n points theta + eps s. The promise is the central difference in
parameter i averaged over the others' perturbations, the mean over s of s_i f(theta + eps s) / eps_i. Losses are whole
numbers, so that both sides are compared without any rounding: shading may be anything, a quantized one too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.raster.stochastic.credit import CreditRule

STEPS = 4096  # loss levels per unit


def quantized(loss) -> np.ndarray:
    """[H,W] int32 of a loss image [H,W] in units of 1 / STEPS."""
    return np.rint(np.asarray(loss, np.float64) * STEPS).astype(np.int32)


def enumerated(
    moved: list[tuple[int, int]],  # (row, component) of every parameter that is perturbed
    shape: tuple[int, int],  # (rows, components) of all parameters
    evaluate: Callable[[np.ndarray], tuple[np.ndarray, Any]],  # signs [rows, components], 0 = not moved
    rule: Callable[[Any, Any], CreditRule],
) -> tuple[np.ndarray, np.ndarray]:
    """(sums over all pairs of credited differences times s_i, the same of what is promised), [n] whole numbers."""
    vectors = list(itertools.product((1, -1), repeat=len(moved)))
    images = {}
    for vector in vectors:
        signs = np.zeros(shape, np.float32)
        for (row, component), sign in zip(moved, vector, strict=True):
            signs[row, component] = sign
        images[vector] = evaluate(signs)
    estimate, promise = np.zeros(len(moved), np.int64), np.zeros(len(moved), np.int64)
    for vector in vectors[: len(vectors) // 2]:  # the estimate of -s is that of s
        other = tuple(-sign for sign in vector)
        (plus, seen_plus), (minus, seen_minus) = images[vector], images[other]
        sums = rule(seen_plus, seen_minus).sums(plus - minus).astype(np.int64)
        estimate += np.array([sums[row] for row, _ in moved]) * vector
        promise += (plus - minus).sum(dtype=np.int64) * np.array(vector)
    return estimate, promise


def lost(estimate: np.ndarray, promise: np.ndarray) -> float:
    """The largest error relative to the largest promised derivative."""
    return float(np.abs(estimate - promise).max() / np.abs(promise).max())
