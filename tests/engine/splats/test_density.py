"""What all strategies of density control promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ProjectError, RecipeError
from engine.scene.gaussians import KINDS
from engine.splats.density import density
from engine.splats.density.contract import DensityOptions, largest, primitives_in
from engine.splats.parameters import SplatTensors
from tests.engine.splats.density_scenes import optimized, view

NAMES = ("classic", "error", "relocation")
EAGER = DensityOptions(
    60, extent=3.0, start=0, stop=100, interval=1, grow_share=0.4, grow_gradient=1e-6, grow_error=1e-3,
    split_scale=0.05, reset_interval=3, reset_opacity=0.2,
)  # fmt: skip


def bits(splats: SplatTensors, optimizer: torch.optim.Optimizer) -> list[bytes]:
    tensors = list(splats.tensors().values())
    moments = [optimizer.state[tensor][key] for tensor in tensors for key in ("exp_avg", "exp_avg_sq")]
    return [value.detach().numpy().tobytes() for value in tensors + moments]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(KINDS),
    st.integers(0, 10_000),
    st.integers(1, 70),
    st.floats(0, 1),
    st.lists(st.booleans(), min_size=2, max_size=6),
)
def test_there_are_never_more_splats_than_the_budget(name, kind, seed, budget, share, seen):
    splats, optimizer = optimized(kind, 30, seed)
    random = torch.Generator().manual_seed(seed)
    control = density(name, replace(EAGER, budget=budget, grow_share=share))
    for step, looked in enumerate(seen, 1):
        if looked:
            with torch.no_grad():
                splats.logits -= 3 * torch.rand(len(splats), generator=random)
            for tensor in splats.tensors().values():
                tensor.grad = torch.randn(tensor.shape, generator=random)
            optimizer.step()
            control._seen = {
                key: torch.rand(len(splats), generator=random) for key in ("gradient", "views", "radius", "error")
            }
        count = len(splats)
        done = control.adapt(step, splats, optimizer, random)
        assert len(splats) <= budget
        added = done.get("cloned", 0) + done.get("split", 0) + done.get("added", 0)
        assert len(splats) == count + added - done.get("pruned", 0)
        assert all(len(tensor) == len(splats) for tensor in splats.tensors().values())
        for tensor in splats.tensors().values():
            assert bool(tensor.isfinite().all())
            assert optimizer.state.get(tensor, {"exp_avg": tensor})["exp_avg"].shape == tensor.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_restored_strategy_does_the_same_bit_for_bit(name, kind):
    results = []
    for restored in (False, True):
        splats, optimizer = optimized(kind, 12, seed=3)
        control = density(name, EAGER)
        for _ in range(2):
            view(splats, control, optimizer)
        if restored:
            tensors, values = control.state()
            control = density(name, EAGER)
            control.restore(tensors, values)
        view(splats, control, optimizer)
        done = control.adapt(6, splats, optimizer, torch.Generator().manual_seed(4))
        results.append((bits(splats, optimizer), done))
    assert results[0] == results[1]
    assert len(results[0][1]) > 0


@pytest.mark.parametrize("name", ["classic", "error"])
def test_what_was_seen_decides_so_that_a_strategy_not_restored_differs(name):
    splats, optimizer = optimized(count=12, seed=3)
    control = density(name, EAGER)
    view(splats, control, optimizer)
    assert control.scores().shape == (12,)
    assert float(control.scores().max()) > 0
    assert density(name, EAGER).adapt(1, splats, optimizer, torch.Generator()) == {}
    assert control.adapt(1, splats, optimizer, torch.Generator()) != {}


def test_a_state_is_a_copy():
    splats, optimizer = optimized(count=12)
    control = density("error", EAGER)
    view(splats, control, optimizer)
    tensors, _ = control.state()
    before = tensors["error"].clone()
    control._seen["error"].zero_()
    assert torch.equal(tensors["error"], before)


def test_the_state_of_another_strategy_is_refused():
    with pytest.raises(ProjectError, match="is 'classic' and the recipe's 'error'"):
        density("error", EAGER).restore(*density("classic", EAGER).state())


def test_what_was_seen_follows_an_edit_from_outside():
    splats, optimizer = optimized(count=12)
    control = density("classic", EAGER)
    view(splats, control, optimizer)
    before = control.scores().clone()
    control.follow(torch.tensor([4, 1]), 1)
    assert torch.equal(control.scores(), torch.tensor([before[4], before[1], 0.0]))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_added_or_removed_out_of_season(name):
    splats, optimizer = optimized(count=12)
    control = density(name, replace(EAGER, start=10, stop=20, interval=2, reset_interval=4, budget=100))
    view(splats, control, optimizer)
    for step, due in ((8, False), (9, False), (11, False), (20, False), (12, True)):
        saved = control.state()
        assert (control.adapt(step, splats, optimizer, torch.Generator().manual_seed(0)) != {}) == due, step
        if not due:
            assert len(splats) == 12
            control.restore(*saved)


def test_options_that_nothing_could_keep_are_refused():
    with pytest.raises(RecipeError, match="budget is 0"):
        DensityOptions(0)
    with pytest.raises(RecipeError, match="extent is 0"):
        DensityOptions(10, extent=0.0)
    with pytest.raises(RecipeError, match="'grow' is unknown"):
        density("grow", EAGER)


def test_megabytes_are_those_of_the_arrays():
    for kind in KINDS:
        splats, _ = optimized(kind, 50, degree=2)
        size = splats.gaussians().megabytes
        assert primitives_in(size, kind, 2) == 50
        assert primitives_in(size * 0.999, kind, 2) == 49
    assert primitives_in(0.0, "gaussian", 3) == 1


def test_the_first_of_equal_values_count_as_larger():
    assert largest(torch.tensor([1.0, 3, 3, 0, 3]), 2).tolist() == [1, 2]
