"""Density control by errors: scores, clones that keep the image, decay."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from engine.scene.gaussians import KINDS
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.density import density
from engine.splats.density.contract import DensityOptions
from engine.splats.density.growth import shared_logits
from engine.splats.parameters import SplatTensors
from tests.engine.splats.density_scenes import fake_moments, optimized, view
from tests.engine.splats.scenes import camera
from tests.engine.splats.test_reference import AHEAD, splat, together

ROUND = DensityOptions(100, extent=1.0, start=0, stop=10, interval=1, grow_error=1e-3, split_scale=1.0, decay=0.0)
PLACE = {"gaussian": (0.2, 0.2, 0.2), "exponential": (0.2, 0.2, 0.2), "surface": (0.2, 0.2, 1e-7)}


def leaves(*splats, dtype=torch.float64):
    tensors = SplatTensors.of(together(*splats), dtype)
    for tensor in tensors.tensors().values():
        tensor.requires_grad_()
    groups = [{"params": [t], "name": name, "lr": 1e-3} for name, t in tensors.tensors().items()]
    return tensors, torch.optim.Adam(groups)


@pytest.mark.parametrize("name", ["reference", "numba"])
def test_scores_are_the_largest_sum_over_a_view_of_error_times_weight(name):
    splats, _ = optimized(count=7)
    control, random = density("error", ROUND), torch.Generator().manual_seed(0)
    expected = torch.zeros(7)
    for width in (24, 31):
        seen_from = camera(width, 18, 18.0)
        error = torch.rand(seen_from.size, generator=random)
        weights = splatter("reference").render(splats, seen_from, SplatOptions(extra=torch.eye(7))).extra.detach()
        expected = torch.maximum(expected, (weights * error[..., None]).sum((0, 1)))
        image = splatter(name).render(splats, seen_from, SplatOptions(extra=control.extra(splats)))
        term = control.weighed(image, error)
        assert float(term.detach()) == 0
        term.backward()
        assert all(t.grad is None or float(t.grad.abs().max()) == 0 for t in splats.tensors().values())
        control.observe(image, seen_from)
    torch.testing.assert_close(control.scores(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opacity", [0.02, 0.5, 0.95])
def test_a_clone_leaves_the_pixel_at_the_mean_as_it_was(kind, opacity):
    more = {"shape": 3.0} if kind == "exponential" else {}
    near, far = (
        splat(4.0, opacity, PLACE[kind], (1.0, 0.3, 0.2), kind, **more),
        splat(6.0, 0.8, PLACE[kind], kind=kind, **more),
    )
    splats, optimizer = leaves(near, far)
    control = density("error", replace(ROUND, grow_share=0.5))
    control._seen = {"error": torch.tensor([2.0, 1.0], dtype=torch.float64)}
    before = splatter("reference").render(splats, AHEAD)
    assert control.adapt(1, splats, optimizer, torch.Generator()) == {"cloned": 1}
    after = splatter("reference").render(splats, AHEAD)
    assert len(splats) == 3
    assert torch.equal(splats.logits[0], splats.logits[2]) and torch.equal(splats.means[0], splats.means[2])
    torch.testing.assert_close(after.color[10, 15], before.color[10, 15], rtol=0, atol=1e-7)
    torch.testing.assert_close(after.alpha[10, 15], before.alpha[10, 15], rtol=0, atol=1e-7)


def test_splats_at_one_place_share_their_opacity():
    for logit in (-20.0, -3.0, 0.0, 4.0, 15.0):
        for count in (2, 3, 20):
            each = shared_logits(torch.tensor([logit], dtype=torch.float64), count)
            together_clear = count * torch.nn.functional.logsigmoid(-each)
            torch.testing.assert_close(together_clear, torch.nn.functional.logsigmoid(torch.tensor([-logit]).double()))
    assert bool(shared_logits(torch.tensor([-80.0, 80.0]), 2).isfinite().all())


def test_the_highest_errors_grow_at_most_a_share_of_all():
    splats, optimizer = optimized(count=40)
    errors = torch.linspace(1, 2, 40)[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    control = density("error", replace(ROUND, grow_share=0.05))
    control._seen = {"error": errors}
    means = splats.means.detach().clone()
    assert control.adapt(1, splats, optimizer, torch.Generator()) == {"cloned": 2}
    assert torch.equal(splats.means[40:].detach(), means[errors.argsort(descending=True)[:2].sort().values])
    assert control.scores() is None


def test_errors_below_the_least_do_not_grow():
    splats, optimizer = optimized(count=10)
    control = density("error", replace(ROUND, grow_error=1.5, grow_share=1.0))
    control._seen = {"error": torch.tensor([1.4, 1.6] * 5)}
    assert control.adapt(1, splats, optimizer, torch.Generator()) == {"cloned": 5}


def test_opacities_decay_in_a_round_and_the_faint_go():
    splats, optimizer = optimized(count=4)
    fake_moments(splats, optimizer)
    wanted = torch.tensor([0.9, 0.004, 0.0052, 0.3])
    with torch.no_grad():
        splats.logits.copy_(torch.logit(wanted))
    control = density("error", replace(ROUND, decay=0.001))
    assert control.adapt(1, splats, optimizer, torch.Generator()) == {"pruned": 1}
    torch.testing.assert_close(torch.sigmoid(splats.logits.detach()), wanted[[0, 2, 3]] - 0.001, atol=1e-6, rtol=0)
    assert optimizer.state[splats.logits]["exp_avg"].tolist() == [1, 3, 4]
    assert control.adapt(2, splats, optimizer, torch.Generator()) == {"pruned": 1}
    for _ in range(2):
        control.adapt(11, splats, optimizer, torch.Generator())
    assert len(splats) == 2


def test_a_view_whose_error_was_not_weighed_counts_for_nothing():
    splats, optimizer = optimized(count=5)
    control = density("error", ROUND)
    seen_from = camera(12, 9, 9.0)
    image = splatter("reference").render(splats, seen_from, SplatOptions(extra=control.extra(splats)))
    image.color.sum().backward()
    control.observe(image, seen_from)
    assert control.scores() is None or math.isclose(float(control.scores().max()), 0.0)
    view(splats, control, optimizer)
    assert float(control.scores().max()) > 0
