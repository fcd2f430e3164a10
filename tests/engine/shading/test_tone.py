"""Encodings invert each other, agree with the scene's own, and have finite gradients everywhere."""

from __future__ import annotations

import numpy as np
import torch

from engine.scene.conventions import linear_to_srgb
from engine.shading.tone import expose, linear_from_srgb, log_tonemap, srgb_from_linear, view_tonemap


def test_encodings_invert_each_other_and_agree_with_the_scene():
    x = torch.linspace(0, 1, 301, dtype=torch.float64)
    # the standard's two thresholds meet to 1e-8 only
    assert torch.allclose(linear_from_srgb(srgb_from_linear(x)), x, atol=1e-7)
    assert np.allclose(srgb_from_linear(x).numpy(), linear_to_srgb(x.numpy()), atol=1e-12)


def test_gradients_are_finite_at_zero_and_below():
    for function in (srgb_from_linear, linear_from_srgb, log_tonemap, lambda x: view_tonemap(x[:, None].expand(-1, 3))):
        x = torch.tensor([-1.0, 0.0, 1e-8, 0.5, 1.0, 50.0], requires_grad=True)
        function(x).sum().backward()
        assert torch.isfinite(x.grad).all()


def test_encodings_agree_with_finite_differences():
    x = torch.tensor([0.001, 0.02, 0.3, 0.9, 3.0], dtype=torch.float64, requires_grad=True)
    for function in (srgb_from_linear, linear_from_srgb, log_tonemap):
        assert torch.autograd.gradcheck(function, (x,))


def test_view_tonemap_stays_displayable_and_monotonic():
    grey = torch.linspace(0, 100, 1000)[:, None].expand(-1, 3)
    shown = view_tonemap(grey)
    assert shown.min() >= 0 and shown.max() <= 1
    assert (shown.diff(dim=0) >= -1e-6).all()
    assert torch.allclose(expose(torch.tensor(0.25), 2), torch.tensor(1.0))
