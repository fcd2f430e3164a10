"""Splats taken out and put in while they are optimized."""

from __future__ import annotations

import pytest
import torch

from engine.scene.gaussians import KINDS
from engine.splats.editing import edited, forget, joined, selected
from tests.engine.splats.density_scenes import fake_moments, optimized


@pytest.mark.parametrize("kind", KINDS)
def test_moments_stay_with_their_splats_and_new_ones_have_none(kind):
    splats, optimizer = optimized(kind, 6)
    fake_moments(splats, optimizer)
    before = {name: tensor.detach().clone() for name, tensor in splats.tensors().items()}
    added = selected(splats, torch.tensor([2, 2]))
    edited(splats, optimizer, torch.tensor([5, 0, 3]), added)
    assert len(splats) == 5
    assert splats.kind == kind
    assert {name for name in before} == set(splats.tensors())
    assert len(optimizer.state) == len(before)
    for group, (name, tensor) in zip(optimizer.param_groups, splats.tensors().items(), strict=True):
        assert group["params"][0] is tensor
        assert group["name"] == name
        assert tensor.is_leaf and tensor.requires_grad and tensor.grad is None
        assert torch.equal(tensor.detach(), before[name][[5, 0, 3, 2, 2]])
        state = optimizer.state[tensor]
        assert float(state["step"]) == 7
        for key, factor in (("exp_avg", 1.0), ("exp_avg_sq", 2.0)):
            rows = state[key].reshape(5, -1)
            assert torch.equal(rows, factor * torch.tensor([6.0, 1, 4, 0, 0])[:, None].expand_as(rows))


def test_the_optimizer_goes_on_after_an_edit():
    splats, optimizer = optimized(count=5)
    splats.means.sum().backward()
    optimizer.step()
    edited(splats, optimizer, torch.arange(4), selected(splats, torch.tensor([0])))
    old = splats.means.detach().clone()
    optimizer.zero_grad()
    splats.means.sum().backward()
    optimizer.step()
    assert bool((splats.means < old).all())


def test_deleting_and_putting_back_needs_no_optimizer():
    splats, _ = optimized(count=5)
    whole = selected(splats, torch.arange(5))
    deleted = selected(splats, torch.tensor([1, 4]))
    edited(splats, None, torch.tensor([0, 2, 3]))
    assert len(splats) == 3
    edited(splats, None, torch.arange(3), deleted)
    for name, tensor in splats.tensors().items():
        assert torch.equal(tensor.detach(), whole.tensors()[name][[0, 2, 3, 1, 4]])


def test_all_splats_can_go():
    splats, optimizer = optimized(count=3)
    fake_moments(splats, optimizer)
    edited(splats, optimizer, torch.zeros(0, dtype=torch.long))
    assert len(splats) == 0
    assert splats.harmonics.shape == (0, 4, 3)
    assert optimizer.state[splats.logits]["exp_avg"].shape == (0,)


def test_forgetting_zeroes_moments_of_the_splats_named():
    splats, optimizer = optimized(count=4)
    fake_moments(splats, optimizer)
    forget(optimizer, splats.logits, torch.tensor([1, 2]))
    assert optimizer.state[splats.logits]["exp_avg"].tolist() == [1, 0, 0, 4]
    assert float(optimizer.state[splats.logits]["step"]) == 7
    forget(optimizer, splats.logits)
    assert optimizer.state[splats.logits]["exp_avg_sq"].tolist() == [0, 0, 0, 0]
    assert float(optimizer.state[splats.means]["exp_avg"].min()) == 1


def test_sets_are_joined_in_order():
    splats, _ = optimized("exponential", 4)
    both = joined(selected(splats, torch.tensor([3])), selected(splats, torch.tensor([0, 1])))
    assert torch.equal(both.shapes, splats.shapes.detach()[[3, 0, 1]])
    assert both.kind == "exponential" and not both.means.requires_grad
