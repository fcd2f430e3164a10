"""Density control as Markov chain Monte Carlo: relocation that keeps the image, growth, noise, penalties."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.scene.gaussians import KINDS
from engine.splats.channels import rotation_matrices
from engine.splats.density import density
from engine.splats.density.contract import DensityOptions
from engine.splats.density.growth import SHRINK
from engine.splats.density.relocation import MOST, shared
from engine.splats.parameters import SplatTensors
from tests.engine.splats.density_scenes import fake_moments, optimized
from tests.engine.splats.scenes import camera

ROUND = DensityOptions(100, extent=1.0, start=0, stop=10, interval=1, grow_share=0.0, noise=0.0)


def killed(splats: SplatTensors, dead: int, live: float = 1.0) -> None:
    with torch.no_grad():
        splats.logits.fill_(live)
        splats.logits[:dead] = -9.0


@pytest.mark.parametrize("shape", [None, 1.0, 4.0])
@pytest.mark.parametrize("opacity", [0.1, 0.6, 0.97])
def test_splats_at_one_place_have_the_integral_of_the_one_they_replace(opacity, shape):
    x = np.linspace(-40, 40, 40001)
    power = 2.0 if shape is None else shape
    for count in (2, 3, 10, MOST):
        logit = torch.tensor([math.log(opacity / (1 - opacity))], dtype=torch.float64)
        shapes = None if shape is None else torch.tensor([shape], dtype=torch.float64)
        each, change = shared(logit, torch.tensor([count]), shapes)
        alpha = float(torch.sigmoid(each)) * np.exp(-0.5 * np.abs(x / math.exp(change)) ** power)
        before = opacity * np.trapezoid(np.exp(-0.5 * np.abs(x) ** power), x)
        assert 1 - (1 - float(torch.sigmoid(each))) ** count == pytest.approx(opacity, rel=1e-9)
        assert np.trapezoid(1 - (1 - alpha) ** count, x) == pytest.approx(before, rel=1e-4), count


def test_crowds_beyond_the_most_count_as_the_most_and_extremes_stay_finite():
    logits = torch.tensor([-5.0, 0.0, 8.0, 200.0])
    for most, more in zip(
        shared(logits, torch.full((4,), MOST)), shared(logits, torch.full((4,), 10 * MOST)), strict=True
    ):
        assert torch.equal(most, more)
        assert bool(most.isfinite().all())


@pytest.mark.parametrize("kind", KINDS)
def test_the_relocated_lie_as_the_one_they_join_spreads_and_are_parts_of_it(kind):
    count, crowd = 3000, MOST
    splats, optimizer = optimized(kind, count, degree=0)
    killed(splats, count - 1)
    along = 2 if kind == "surface" else 3
    live = {name: tensor.detach()[-1].clone() for name, tensor in splats.tensors().items()}
    density("relocation", replace(ROUND, budget=count)).adapt(1, splats, optimizer, torch.Generator().manual_seed(0))
    each, shrink = shared(
        live["logits"][None], torch.tensor([crowd]), live["shapes"][None] if "shapes" in live else None
    )
    floor = math.log(ROUND.prune_opacity / (1 - ROUND.prune_opacity)) + 1e-3
    torch.testing.assert_close(splats.logits.detach(), each.clamp(min=floor).float().expand(count))
    scales = (live["log_scales"][:along] + shrink.float()).exp()
    assert torch.equal(splats.means.detach()[0], live["means"])  # the one that was there stays
    torch.testing.assert_close(splats.log_scales.detach()[:, :along].exp(), (scales / SHRINK).expand(count, along))
    frame = rotation_matrices(live["rotations"][None])[0, :, :along]
    offset = (splats.means.detach()[1:] - live["means"]) @ frame / scales
    torch.testing.assert_close(offset.T @ offset / (count - 1), torch.eye(along), rtol=0, atol=0.08)


def test_the_dead_move_to_the_live_as_often_as_these_are_opaque():
    splats, optimizer = optimized(count=3000, degree=0)
    with torch.no_grad():
        splats.logits.fill_(-9.0)
        splats.logits[:3] = torch.logit(torch.tensor([0.1, 0.3, 0.6]))
        splats.means[:3, 0] = torch.tensor([0.0, 1000.0, 2000.0])
    done = density("relocation", replace(ROUND, budget=3000)).adapt(
        1, splats, optimizer, torch.Generator().manual_seed(0)
    )
    assert done == {"relocated": 2997}
    nearest = (splats.means.detach()[3:, 0] / 1000).round()
    shares = [(nearest == number).float().mean() for number in range(3)]
    np.testing.assert_allclose(shares, [0.1, 0.3, 0.6], atol=0.03)
    assert float(torch.sigmoid(splats.logits.detach()).min()) > ROUND.prune_opacity  # none is dead again


def test_moments_stay_with_the_live_and_the_crowded_begin_anew():
    splats, optimizer = optimized(count=6)
    fake_moments(splats, optimizer)
    killed(splats, 1)
    means, scales = splats.means.detach().clone(), splats.log_scales.detach().clone()
    density("relocation", ROUND).adapt(1, splats, optimizer, torch.Generator().manual_seed(0))
    host = int((scales[1:] != splats.log_scales.detach()[:5]).any(1).nonzero())
    assert torch.equal(splats.means[:5].detach(), means[1:])
    assert optimizer.state[splats.means]["exp_avg"][:, 0].tolist() == [2, 3, 4, 5, 6, 0]
    expected = [2.0, 3, 4, 5, 6, 0]
    expected[host] = 0.0
    assert optimizer.state[splats.logits]["exp_avg"].tolist() == expected
    assert optimizer.state[splats.log_scales]["exp_avg_sq"][:, 2].tolist() == [2 * value for value in expected]


def test_the_number_grows_by_a_share_up_to_the_budget():
    splats, optimizer = optimized(count=40)
    killed(splats, 3)
    control, random = density("relocation", replace(ROUND, grow_share=0.05, budget=43)), torch.Generator()
    assert control.adapt(1, splats, optimizer, random) == {"relocated": 3, "added": 2}
    assert control.adapt(2, splats, optimizer, random) == {"added": 1}
    assert control.adapt(3, splats, optimizer, random) == {}
    assert len(splats) == 43


def test_a_budget_below_the_number_lets_the_dead_go_first():
    splats, optimizer = optimized(count=10)
    killed(splats, 4)
    with torch.no_grad():
        splats.logits[9] = 0.5
    means = splats.means.detach().clone()
    done = density("relocation", replace(ROUND, budget=5)).adapt(1, splats, optimizer, torch.Generator())
    assert done == {"pruned": 5}
    assert torch.equal(splats.means.detach(), means[4:9])


def test_nothing_happens_where_all_are_dead():
    splats, optimizer = optimized(count=5)
    killed(splats, 5)
    assert density("relocation", ROUND).adapt(1, splats, optimizer, torch.Generator()) == {}
    assert len(splats) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_the_covariance_squared_and_leaves_the_opaque_alone(kind):
    count = 4000
    splats, optimizer = optimized(kind, count, degree=0)
    with torch.no_grad():
        for name in ("rotations", "log_scales"):
            splats.tensors()[name].copy_(splats.tensors()[name][:1].expand(count, -1).clone())
        splats.logits.fill_(math.log(0.01 / 0.99))
        splats.logits[0] = 3.0
    before = splats.means.detach().clone()
    control = density("relocation", replace(ROUND, budget=count, noise=100.0, extent=2.0))
    control.adapt(11, splats, optimizer, torch.Generator().manual_seed(0))
    moved = (splats.means.detach() - before).double()
    assert bool((moved[0] == 0).all())
    along = 2 if kind == "surface" else 3
    frame = rotation_matrices(splats.rotations.detach()[:1])[0, :, :along].double()
    covariance = frame * (2 * splats.log_scales.detach()[0, :along].double()).exp() @ frame.T
    rate = 100.0 * 1e-3 / 2.0**2 / (1 + math.exp(100 * (0.01 - 0.005)))
    expected = rate**2 * covariance @ covariance
    actual = moved[1:].T @ moved[1:] / (count - 1)
    assert float((actual - expected).norm()) < 0.06 * float(expected.norm())


def test_noise_does_not_depend_on_the_captures_scale():
    results = []
    for scale in (1.0, 16.0):
        splats, optimizer = optimized(count=20)
        with torch.no_grad():
            splats.logits.fill_(-5.0)
            splats.means *= scale
            splats.log_scales += math.log(scale)
        optimizer.param_groups[0]["lr"] *= scale
        before = splats.means.detach().clone()
        control = density("relocation", replace(ROUND, noise=5e3, extent=scale))
        control.adapt(11, splats, optimizer, torch.Generator().manual_seed(0))
        results.append((splats.means.detach() - before) / scale)
        penalty = control.penalty(splats)
        results.append(penalty.detach())
    assert float(results[0].abs().max()) > 1e-3
    torch.testing.assert_close(results[0], results[2], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(results[1], results[3])


@pytest.mark.parametrize("kind", KINDS)
def test_penalties_are_the_means_of_opacity_and_scale(kind):
    splats, _ = optimized(kind, 9)
    control = density("relocation", replace(ROUND, opacity_penalty=0.3, scale_penalty=0.5, extent=4.0))
    gaussians = splats.gaussians()
    scales = np.exp(gaussians.log_scales[:, : 2 if kind == "surface" else 3])
    expected = 0.3 * gaussians.opacities.mean() + 0.5 * scales.mean() / 4
    assert float(control.penalty(splats).detach()) == pytest.approx(expected, rel=1e-5)
    control.penalty(splats).backward()
    assert bool((splats.logits.grad > 0).all())
    assert control.extra(splats) is None
    assert float(density("classic", ROUND).penalty(splats)) == 0
    assert float(control.weighed(None, torch.ones(camera().size))) == 0
