"""Losses agree with their definitions and, where written by hand, with finite differences."""

from __future__ import annotations

import pytest
import torch

from engine.errors import RecipeError
from engine.optimize import metrics
from engine.optimize.losses import LOSSES, REGULARIZERS, color_loss, loss, mask_loss, regularizer, ssim, ssim_loss


def images(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(height, width, 3, generator=generator, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_zero_on_equal_images_and_has_finite_gradients(name):
    image, target = images(16, 15)
    assert float(loss(name)(target, target)) == pytest.approx(0, abs=1e-12)
    image = torch.zeros_like(target).requires_grad_()
    loss(name)(image, target).backward()
    assert torch.isfinite(image.grad).all() and float(image.grad.abs().sum()) > 0


def test_highlights_count_less_than_in_a_plain_difference():
    dark, bright = torch.full((4, 4, 3), 0.1), torch.full((4, 4, 3), 100.0)
    assert float(color_loss(bright, bright * 1.1)) < 0.2 * 10
    assert float(color_loss(dark, dark * 1.1)) > 0.1 * 0.01
    assert float(mask_loss(torch.zeros(2, 2), torch.ones(2, 2))) == 1


def test_ssim_equals_the_metric_and_its_gradient_the_finite_differences():
    a, b = images(19, 23)
    assert float(ssim(a, b)) == pytest.approx(metrics.ssim(a.numpy(), b.numpy()), abs=1e-12)
    a, b = images(13, 12)
    assert torch.autograd.gradcheck(ssim, (a.requires_grad_(), b.requires_grad_()))
    small = torch.rand(5, 5, 3)
    assert float(ssim_loss(small, small)) == pytest.approx(0, abs=1e-6)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(RecipeError, match="log_l1"):
        loss("l3")
    with pytest.raises(RecipeError, match="total_variation"):
        regularizer("smooth")
    assert all(torch.isfinite(regularizer(name)(torch.rand(4, 4, 3))) for name in REGULARIZERS)
