"""The stochastic gradient of splats: whom a pixel is credited to, and that the mean over signs is the gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from engine.splats.stochastic_credit import SplatCredit, stochastic_gradient
from engine.splats.stochastic_ids import SplatIds
from tests.engine.splats.scenes import camera, scene

SAMPLES = 300
VIEW = camera(24, 20, 18.0)
TARGET = torch.from_numpy(np.random.default_rng(5).uniform(0, 1, (20, 24, 3))).float()


def pixel_losses(splats: SplatTensors) -> torch.Tensor:
    return ((splatter("numba").render(splats, VIEW).color - TARGET) ** 2).sum(2)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


@pytest.mark.parametrize("group", ["means", "rotations", "log_scales", "logits", "harmonics", "shapes"])
def test_the_mean_over_signs_is_the_gradient(group):
    splats = SplatTensors.of(scene("exponential", 20, 0, seed=4, scale=(0.1, 0.4)))
    leaf = getattr(splats, group).requires_grad_()
    pixel_losses(splats).sum().backward()
    with torch.no_grad():
        total = sum(stochastic_gradient(splats, VIEW, group, pixel_losses, 3, step) for step in range(SAMPLES))
    assert cosine(total, leaf.grad) >= 0.9
    assert float((total / SAMPLES).norm() / leaf.grad.norm()) == pytest.approx(1, abs=0.2)


def test_a_pixel_is_credited_to_what_changes_it():
    splats = SplatTensors.of(scene("gaussian", 30, 0, seed=2))
    ids = SplatIds.of(splats, VIEW)
    rule = SplatCredit(ids, ids)
    plain = splatter("numba").render(splats, VIEW, SplatOptions()).color
    for row in range(len(splats)):
        brighter = SplatTensors.of(splats.gaussians())
        brighter.harmonics[row] += 3
        changed = (splatter("numba").render(brighter, VIEW).color != plain).any(2).numpy()
        np.testing.assert_array_equal(changed & ~rule.pixels(row), False)
        assert (rule.pixels(row) & ~changed).sum() <= 2  # those that it ends


def test_sums_count_each_pixel_of_either_image_once():
    splats = SplatTensors.of(scene("gaussian", 40, 0, seed=2))
    moved = SplatTensors.of(splats.gaussians())
    moved.means += 0.2
    rule = SplatCredit(SplatIds.of(splats, VIEW), SplatIds.of(moved, VIEW))
    fixed = np.random.default_rng(0).integers(-1000, 1000, VIEW.size).astype(np.int32)
    sums = rule.sums(fixed)
    assert [int(fixed[rule.pixels(row)].sum()) for row in range(40)] == sums.tolist()
    pairs = rule.support()
    expected = np.zeros(40, np.int64)
    np.add.at(expected, pairs[:, 1].numpy(), fixed.reshape(-1)[pairs[:, 0].numpy()])
    assert expected.tolist() == sums.tolist()


def test_colours_are_found_through_a_shading_without_a_derivative():
    splats = SplatTensors.of(scene("gaussian", 20, 0, seed=4, scale=(0.2, 0.4)))

    def posterized(moved):
        return (splatter("numba").render(moved, VIEW).color * 6).floor() / 6

    target = posterized(splats)

    def losses(moved):
        return ((posterized(moved) - target) ** 2).sum(2)

    splats.harmonics[:] = 0
    start = float(losses(splats).sum())
    optimizer = torch.optim.Adam([splats.harmonics], lr=0.05)
    for step in range(60):
        splats.harmonics.grad = stochastic_gradient(splats, VIEW, "harmonics", losses, 1, step, share=0.1)
        optimizer.step()
    assert float(losses(splats).sum()) < 0.5 * start


def test_the_same_signs_give_the_same_bits():
    splats = SplatTensors.of(scene("gaussian", 20, 0))
    with torch.no_grad():
        first, again = (stochastic_gradient(splats, VIEW, "means", pixel_losses, 7, 2) for _ in range(2))
        other = stochastic_gradient(splats, VIEW, "means", pixel_losses, 7, 3)
    assert torch.equal(first, again) and not torch.equal(first, other)
