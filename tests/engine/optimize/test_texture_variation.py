"""The variation of a texture and its gradient are those of the torch twin."""

from __future__ import annotations

import pytest
import torch

from engine.optimize.texture_variation import texture_variation, texture_variation_reference


@pytest.mark.parametrize("size", [(16, 16), (2, 9), (33, 2)])
def test_the_kernel_equals_torch(size):
    texture = torch.rand(*size, 8, generator=torch.Generator().manual_seed(0))
    texture[:, 1] = texture[:, 0]  # no difference has no gradient
    outcomes = []
    for function, dtype in ((texture_variation, torch.float32), (texture_variation_reference, torch.float64)):
        values = texture.to(dtype).clone().requires_grad_()
        value = function(values)
        (3 * value).backward()
        outcomes.append((float(value.detach()), values.grad.double()))
    (mine, gradient), (truth, true_gradient) = outcomes
    assert mine == pytest.approx(truth, rel=1e-6)
    torch.testing.assert_close(gradient, true_gradient, rtol=1e-5, atol=1e-9)
    assert not gradient[..., :3].any() and not gradient[..., 7].any()
