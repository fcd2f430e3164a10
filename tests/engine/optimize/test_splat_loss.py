"""The fused loss of splats against its plain torch twin."""

from __future__ import annotations

import pytest
import torch

from engine.optimize.photo_loss import PhotoWeights
from engine.optimize.splat_loss import band, frequency_loss, pixel_errors, splat_loss, splat_loss_reference

WEIGHTS = PhotoWeights(0.8, 0.1, 0.2)


def pictures(height: int, width: int):
    draw = torch.Generator().manual_seed(3)
    color, target = (torch.rand(height, width, 3, generator=draw) for _ in range(2))
    alpha, target_alpha = (torch.rand(height, width, generator=draw) for _ in range(2))
    return color, alpha, target, (target_alpha > 0.5).float()


@pytest.mark.parametrize("size", [(11, 11), (23, 40)])
@pytest.mark.parametrize("weights", [WEIGHTS, PhotoWeights(1.0, 0.0, 0.0)])
def test_the_fused_loss_is_the_reference(size, weights):
    color, alpha, target, target_alpha = pictures(*size)
    results = []
    for function in (splat_loss, splat_loss_reference):
        inputs = color.clone().requires_grad_(), alpha.clone().requires_grad_()
        loss, terms = function(*inputs, target, target_alpha, weights)
        loss.backward()
        grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in inputs]
        results.append((loss.item(), terms, *grads))
    (loss, terms, *grads), (expected, expected_terms, *expected_grads) = results
    assert loss == pytest.approx(expected, rel=1e-5) and terms == pytest.approx(expected_terms, rel=1e-5)
    for got, true in zip(grads, expected_grads, strict=True):
        assert torch.linalg.norm(got - true) <= 1e-4 * torch.linalg.norm(true)


def test_pixel_errors_are_the_same_in_either_precision():
    color, _, target, _ = pictures(7, 9)
    error, squared = pixel_errors(color, target)
    expected, expected_squared = pixel_errors(color.double(), target.double())
    assert torch.allclose(error.double(), expected, rtol=1e-6) and squared == pytest.approx(expected_squared, rel=1e-6)


def test_equal_pictures_cost_nothing_and_structure_counts():
    color, alpha, _, _ = pictures(16, 20)
    loss, _ = splat_loss(color, alpha, color.clone(), alpha.clone(), WEIGHTS)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    _, terms = splat_loss(color, alpha, color.flip(0), alpha, WEIGHTS)
    assert terms["ssim"] > 0.05 and terms["mask"] == pytest.approx(0, abs=1e-12)


def test_a_picture_under_the_window_has_no_structure():
    color, alpha, target, target_alpha = pictures(6, 9)
    loss, terms = splat_loss(color, alpha, target, target_alpha, WEIGHTS)
    assert terms["ssim"] == 0 and loss.item() == pytest.approx(terms["color"] + terms["mask"], rel=1e-6)


def test_bands_go_from_what_is_smooth_to_the_edges():
    target = torch.zeros(40, 60, 3)
    target[:, 30:] = 1
    smooth, edges = band(target, 0.2), band(target, 0.9)
    assert smooth[:, :15].all() and not smooth[:, [26, 33]].any()
    assert edges[:, [28, 31]].all() and not edges[:, :24].any()
    color = target.clone().requires_grad_()
    loss = frequency_loss(color + 0.1, target, 0.9)
    loss.backward()
    assert loss.item() == pytest.approx(0.1 * edges.float().mean().item(), rel=1e-4)
    assert (color.grad[~edges] == 0).all() and (color.grad[edges] != 0).all()
