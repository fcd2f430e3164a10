"""LazyAdam: Adam where there is gradient, nothing where there is none, and exact resume."""

from __future__ import annotations

import copy

import numpy as np
import torch

from engine.geometry.flexicubes import FlexiCubes, LazyAdam


def _problem():
    axis = np.linspace(-1, 1, 11)
    field = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1), axis=-1) - 0.6
    surface = FlexiCubes.from_field(field, np.array([[-1.0] * 3, [1.0] * 3]))
    groups = [{"params": [surface.sdf, surface.deformation], "lr": 0.02}, {"params": [surface.weights]}]
    return surface, LazyAdam(groups)


def _step(surface, optimizer, hint=True):
    optimizer.zero_grad()
    extraction = surface.extract()
    target = torch.tensor([0.9, 0.6, 0.4])
    loss = ((extraction.vertices / target).norm(dim=1) - 0.8).square().mean() + 0.1 * extraction.l_dev
    loss.backward()
    optimizer.step(rows=surface.active_rows(extraction) if hint else None)
    return float(loss.detach())


def test_equals_adam_while_every_entry_has_gradient():
    generator = torch.Generator().manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(50, 3, generator=generator))
    theirs = torch.nn.Parameter(ours.detach().clone())
    optimizers = LazyAdam([ours], lr=0.1, betas=(0.9, 0.99)), torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99))
    for _ in range(10):
        gradient = torch.randn(50, 3, generator=generator)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_leaves_entries_without_gradient_alone():
    parameter = torch.nn.Parameter(torch.ones(4, 2))
    optimizer = LazyAdam([parameter])
    for _ in range(3):
        parameter.grad = torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
        optimizer.step()
    moved = parameter.detach() != 1
    assert moved.tolist() == [[True, False], [False, False], [True, True], [False, False]]
    assert optimizer.state[parameter]["step"].tolist() == [3, 0, 3, 0]


def test_kernel_and_torch_take_the_same_steps():
    generator = torch.Generator().manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(40, 3, generator=generator))
    theirs = torch.nn.Parameter(ours.detach().double())
    optimizers = LazyAdam([ours], lr=0.1), LazyAdam([theirs], lr=0.1)
    for _ in range(8):
        gradient = torch.randn(40, 3, generator=generator) * (torch.rand(40, 3, generator=generator) < 0.3)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.to(parameter.dtype)
            optimizer.step()
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)
    assert torch.equal(optimizers[0].state[ours]["step"], optimizers[1].state[theirs]["step"])


def test_the_hint_changes_nothing_and_the_loss_falls():
    (a, first), (b, second) = _problem(), _problem()
    losses = [(_step(a, first, hint=True), _step(b, second, hint=False)) for _ in range(30)]
    assert all(x == y for x, y in losses)
    assert losses[-1][0] < 0.3 * losses[0][0]
    assert torch.equal(a.sdf, b.sdf) and torch.equal(a.weights, b.weights)


def test_resume_gives_the_same_bits():
    surface, optimizer = _problem()
    for _ in range(4):
        _step(surface, optimizer)
    saved = {k: v.clone() for k, v in surface.state_dict().items()}
    state = copy.deepcopy(optimizer.state_dict())
    for _ in range(4):
        _step(surface, optimizer)
    resumed, again = _problem()
    resumed.load_state_dict(saved)
    again.load_state_dict(state)
    for _ in range(4):
        _step(resumed, again)
    for name, value in surface.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
