"""Adam of splats: torch's own steps, but for the slower harmonics above degree 0."""

from __future__ import annotations

import pytest
import torch

from engine.optimize.splat_adam import BETAS, DIRECTIONAL, EPS, SplatAdam


def run(optimizer, tensors, slopes):
    for slope in slopes:
        for name, tensor in tensors.items():
            tensor.grad = slope[name].clone().to(tensor)
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_adam(dtype):
    draw = torch.Generator().manual_seed(1)
    shapes = {"means": (7, 3), "logits": (7,), "harmonics": (7, 4, 3)}
    start = {name: torch.randn(shape, generator=draw).to(dtype) for name, shape in shapes.items()}
    slopes = [{name: torch.randn(shape, generator=draw) for name, shape in shapes.items()} for _ in range(5)]
    own = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    optimizer = SplatAdam(own)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    run(optimizer, own, slopes)
    other = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    expected = torch.optim.Adam(other.values(), lr=0.01, betas=BETAS, eps=EPS)
    run(expected, other, slopes)
    close = {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(own["means"], other["means"], **close)
    torch.testing.assert_close(own["logits"], other["logits"], **close)
    moved, usual = (values["harmonics"].detach() - start["harmonics"] for values in (own, other))
    torch.testing.assert_close(moved[:, 0], usual[:, 0], **close)
    torch.testing.assert_close(moved[:, 1:], DIRECTIONAL * usual[:, 1:], **close)


def test_a_parameter_without_a_gradient_stays():
    tensor = torch.ones(3, 3, requires_grad=True)
    optimizer = SplatAdam({"means": tensor})
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    assert (tensor == 1).all()
