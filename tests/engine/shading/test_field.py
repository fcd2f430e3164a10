"""The material field: initial values, bounds, gradients against the reference and finite differences, determinism."""

from __future__ import annotations

import numba
import numpy as np
import torch

from engine.shading.field import MaterialField
from engine.shading.hash_grid import HashGrid

BOX = np.array([[-1.0, -2.0, 0.0], [1.0, 2.0, 3.0]])


def points(count: int, seed: int = 0) -> torch.Tensor:
    unit = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(BOX[0]).float() + unit * torch.tensor(BOX[1] - BOX[0]).float()


def test_starts_with_the_initial_values_everywhere():
    base, rough, metal = MaterialField(BOX)(points(500))
    assert torch.allclose(base, torch.tensor(0.5), atol=0.02)
    assert torch.allclose(rough, torch.tensor(0.6), atol=0.02)
    assert torch.allclose(metal, torch.tensor(0.05), atol=0.01)


def test_values_stay_in_their_bounds():
    field = MaterialField(BOX, min_roughness=0.1)
    with torch.no_grad():
        field.grid.table.mul_(1e6)
    base, rough, metal = field(torch.cat([points(500), points(10) * 100]))
    assert base.min() >= 0 and base.max() <= 1 and base.std() > 0.1
    assert rough.min() >= 0.1 and rough.max() <= 1
    assert metal.min() >= 0 and metal.max() <= 1


def test_numba_grid_agrees_with_the_reference():
    outcomes = []
    for implementation, dtype in (("reference", torch.float64), ("numba", torch.float32)):
        grid = HashGrid(implementation=implementation).to(dtype)
        unit = torch.rand(2000, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
        features = grid(unit)
        weight = torch.rand(features.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
        (features * weight).sum().backward()
        outcomes.append((features.detach().double(), grid.table.grad.double()))
    (first, first_slope), (second, second_slope) = outcomes
    assert torch.allclose(first, second, atol=1e-8)
    assert torch.allclose(first_slope, second_slope, atol=1e-4)


def test_gradients_of_points_agree_with_the_reference_and_vanish_outside():
    outcomes = []
    for implementation, dtype in (("reference", torch.float64), ("numba", torch.float32)):
        grid = HashGrid(implementation=implementation).to(dtype)
        unit = torch.rand(2000, 3, generator=torch.Generator().manual_seed(5)) * 1.2 - 0.1
        unit = unit.to(dtype).requires_grad_()
        features = grid(unit)
        weight = torch.rand(features.shape, generator=torch.Generator().manual_seed(6)).to(dtype)
        (features * weight).sum().backward()
        outcomes.append((unit.detach(), unit.grad.double()))
    (_, first), (unit, second) = outcomes
    assert float((first - second).norm() / first.norm()) < 1e-3
    outside = (unit < 0) | (unit > 1)
    assert outside.any() and not second[outside].any() and second[~outside].all()


def test_features_are_continuous_across_cells_and_clamped_outside():
    grid = HashGrid()
    edge = torch.tensor([[0.5 - 1e-6, 0.25, 0.75], [0.5 + 1e-6, 0.25, 0.75]])
    values = grid(edge)
    assert torch.allclose(values[0], values[1], atol=1e-6)
    assert torch.equal(grid(torch.tensor([[2.0, -1.0, 0.5]])), grid(torch.tensor([[1.0, 0.0, 0.5]])))


def test_reference_agrees_with_finite_differences():
    field = MaterialField(BOX, finest=32, table_size=2**8, implementation="reference").double()
    with torch.no_grad():
        field.grid.table.mul_(1e3)
    where = points(5).double()
    names = ["grid.table", "inner.weight", "outer.bias"]
    parameters = [field.get_parameter(name) for name in names]

    def function(*_):
        return torch.cat([x.reshape(-1) for x in field(where)])

    for parameter in parameters:
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        weight = torch.rand(25, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        (gradient,) = torch.autograd.grad((function() * weight).sum(), parameter)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-6 * direction)
                ends.append((function() * weight).sum())
                parameter.sub_(sign * 1e-6 * direction)
        assert torch.allclose((ends[0] - ends[1]) / 2e-6, (gradient * direction).sum(), rtol=1e-4, atol=1e-8)


def test_gradient_is_the_same_for_any_thread_count_and_seed_repeats():
    threads = numba.get_num_threads()
    slopes = []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            field = MaterialField(BOX, seed=7)
            sum(x.square().sum() for x in field(points(3000))).backward()
            slopes.append(field.grid.table.grad)
    finally:
        numba.set_num_threads(threads)
    assert torch.equal(slopes[0], slopes[1])
    assert not torch.equal(MaterialField(BOX, seed=8).grid.table, MaterialField(BOX, seed=7).grid.table)


def test_learns_a_pattern():
    torch.manual_seed(0)
    field = MaterialField(BOX)
    where = points(800)
    target = ((where * 4).sin().prod(-1, keepdim=True) > 0).float() * torch.tensor([0.6, 0.2, 0.1]) + 0.2
    optimizer = torch.optim.Adam(field.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        loss = (field(where)[0] - target).abs().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_smoothness_is_small_at_the_start_and_grows_with_contrast():
    field = MaterialField(BOX)
    where, generator = points(300), torch.Generator().manual_seed(0)
    start = field.smoothness(where, field(where), generator)
    assert start < 1e-3
    with torch.no_grad():
        field.grid.table.mul_(1e5)
    assert field.smoothness(where, field(where), generator) > 10 * start


def test_many_points_are_as_smooth_as_some_of_them():
    field = MaterialField(BOX)
    with torch.no_grad():
        field.grid.table.mul_(3e3)

    def smoothness(at: torch.Tensor) -> float:
        with torch.no_grad():
            return float(field.smoothness(at, field(at), torch.Generator().manual_seed(0)))

    many = points(140_000)
    some = smoothness(many[:20_000])
    assert some > 1e-3 and abs(smoothness(many) - some) < 0.05 * some
    assert np.isnan(smoothness(many[:0]))
