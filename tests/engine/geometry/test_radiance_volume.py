"""The radiance volume: fast and plain marching agree, gradients are those of finite differences, depths are right."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from engine.errors import GeometryError
from engine.geometry.radiance_volume import STEP, RadianceVolume, march_reference
from engine.geometry.volume_kernels import march_backward
from tests.engine.geometry.ball_views import BOX, RADIUS, ball, ball_depth, views


def volume(resolution: int = 10, density: float = -1.0, seed: int = 0) -> RadianceVolume:
    """A ball of random density and colour; few rays lose all their light in it."""
    made = RadianceVolume(ball(resolution), BOX)
    values = torch.randn(made.values.shape, generator=torch.Generator().manual_seed(seed)) * 0.5
    values[:, 0] += density
    with torch.no_grad():
        made.values.copy_(values)
    return made


def rays(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(origins, unit directions, jitter) of rays from all around, most of which meet the ball; some along an axis."""
    random = np.random.default_rng(seed)
    origins = random.normal(size=(count, 3))
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = random.uniform(-0.6, 0.6, (count, 3)) - origins
    origins[:3], directions[:3] = 3 * np.eye(3), -np.eye(3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return origins, directions, random.random(count, dtype=np.float32)


def reference(made: RadianceVolume, values: torch.Tensor, given: tuple[np.ndarray, ...]) -> torch.Tensor:
    origins, directions = made.in_cells(*given[:2])
    parts = [torch.from_numpy(part).to(values.dtype) for part in (origins, directions, given[2])]
    return march_reference(values, torch.from_numpy(made.slot).long(), *parts, STEP)


def test_numba_agrees_with_the_reference_in_values_and_gradients():
    made, given = volume(), rays(400)
    weight = torch.randn(400, 4, generator=torch.Generator().manual_seed(2))
    image = made.render(*given)
    (image * weight).sum().backward()
    exact = made.values.detach().double().requires_grad_()
    truth = reference(made, exact, given)
    (truth * weight).sum().backward()
    covered = truth[:, 3] < 0.999
    assert covered.sum() > 200 and 0.02 < float(truth[covered, 3].detach().min()) < 0.5, "thin and thick rays"
    assert torch.allclose(image.double(), truth, atol=2e-5)
    scale = exact.grad.abs().max()
    assert float((made.values.grad - exact.grad).abs().max()) < 2e-4 * scale
    assert int((exact.grad.abs() > 1e-3 * scale).sum()) > 0.5 * exact.grad.numel()


def test_a_ray_ends_where_its_light_does():
    made, given = volume(density=3.0), rays(200)
    truth = reference(made, made.values.detach().double(), given)
    assert float(truth[:, 3].min()) < 1e-4
    assert torch.allclose(made.render(*given).double(), truth, atol=2e-3)


def test_the_reference_agrees_with_finite_differences():
    made, given = volume(4), rays(12)
    values = made.values.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: reference(made, v, given), values, eps=1e-6, atol=1e-7)


def test_rays_that_miss_keep_their_light():
    made = volume()
    origins = np.array([[3.0, 3.0, 3.0], [3.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    directions = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    image = made.render(origins, directions, np.zeros(3, np.float32)).detach()
    assert torch.equal(image, torch.tensor([[0.0, 0, 0, 1]] * 3))


def test_the_same_bits_on_any_thread_count():
    def all_results() -> list[np.ndarray]:
        made, given = volume(), rays(301)
        image = made.render(*given)
        image.sum().backward()
        made.add_smoothness(0.1, 0.2)
        return [image.detach().numpy(), made.values.grad.numpy(), made.depth(views(1, 32)[0])]

    threads = numba.get_num_threads()
    expected = all_results()
    for count in {1, threads}:
        numba.set_num_threads(count)
        try:
            found = all_results()
        finally:
            numba.set_num_threads(threads)
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_no_rays_have_no_gradient():
    made = volume(4)
    empty = np.zeros((0, 3), np.float32)
    image = np.zeros((0, 4), np.float32)
    none = (empty, empty, np.zeros(0, np.float32), np.float32(STEP), image, image)
    gradient = march_backward(made.values.detach().numpy(), made.slot, *none)
    assert gradient.shape == made.values.shape and not gradient.any()


def test_smoothness_is_the_gradient_of_squared_differences():
    made = volume(6)
    made.values.grad = torch.zeros_like(made.values)
    made.add_smoothness(0.5, 2.0)
    values = made.values.detach().double().requires_grad_()
    slot, weight = torch.from_numpy(made.slot).long(), torch.tensor([0.5, 2.0, 2.0, 2.0]).double()
    total = torch.zeros((), dtype=torch.float64)
    for axis in range(3):
        low, high = slot.narrow(axis, 0, 6).reshape(-1), slot.narrow(axis, 1, 6).reshape(-1)
        both = (low >= 0) & (high >= 0)
        total = total + 0.5 * (weight * (values[low[both]] - values[high[both]]) ** 2).sum()
    total.backward()
    assert torch.allclose(made.values.grad.double(), values.grad, atol=1e-5)


def test_refining_keeps_what_was_there():
    coarse = volume(6)
    fine = coarse.refined(ball(12))
    assert fine.cell == pytest.approx(coarse.cell / 2) and len(fine.values) > 3 * len(coarse.values)
    rows = fine.slot[tuple(2 * coarse.corner.T)]
    kept = rows >= 0
    assert kept.sum() > 20
    assert torch.allclose(fine.values[rows[kept]], coarse.values[torch.from_numpy(kept)], atol=1e-6)


def test_an_empty_hull_is_an_error():
    with pytest.raises(GeometryError, match="no inside"):
        RadianceVolume(np.ones((5, 5, 5)), BOX)


def test_the_median_depth_of_an_opaque_ball_is_its_surface():
    made = RadianceVolume(ball(48), BOX)
    inside = np.linalg.norm(made.corner / 24 - 1, axis=1) < RADIUS
    with torch.no_grad():
        made.values[:, 0] = torch.from_numpy(np.where(inside, 5.0, -5.0))
    for camera in views(3):
        depth, truth = made.depth(camera), ball_depth(camera)
        # grazing rays may miss the cells or cross them far from the surface
        origin, directions = camera.rays()
        gap = np.linalg.norm(np.cross(directions, -origin), axis=-1)
        steep = gap < 0.8 * RADIUS
        assert np.abs(depth[steep] - truth[steep]).max() < 1.5 * made.cell
        assert np.isinf(depth[gap > RADIUS + 2 * made.cell]).all()
