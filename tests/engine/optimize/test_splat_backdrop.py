"""The backdrop of splats: what a camera sees of it, its gradient, its priors and its file.

The gradient tests look past a pole through a wide camera, so that pixels lie across the seam and the pole.
"""

import numpy as np
import pytest
import torch

from engine.optimize.splat_backdrop import (
    LearnedBackdrop,
    backdrop_image,
    backdrop_image_reference,
    roughness,
)
from engine.scene.camera import look_at
from engine.scene.conventions import gltf_from_capture

UP = np.array([0.1, -0.9, 0.3])
TURN = gltf_from_capture(UP).T


def colors(rows: int = 6, dtype=torch.float32) -> torch.Tensor:
    return torch.rand(rows, 2 * rows, 3, dtype=dtype, generator=torch.Generator().manual_seed(3))


def past_the_pole(width: int = 34, height: int = 22):
    """A camera whose picture holds the upper pole and, behind it, the seam."""
    tilted = TURN @ np.array([0.1, 1.0, 0.4])
    return look_at(np.array([3.0, -2.0, 5.0]), np.array([3.0, -2.0, 5.0]) + tilted, TURN[:, 0], 9.0, width, height)


def test_directions_are_those_of_an_environment():
    """The centre column looks along -Z, a quarter further right along +X, and the first row up."""
    marked = torch.zeros(8, 16, 3)
    marked[:, 7:9, 0], marked[:, 11:13, 1], marked[0, :, 2] = 1, 1, 1
    for direction, channel in (((0, 0, -1), 0), ((1, 0, 0), 1), ((0.01, 1, 0), 2)):
        world = TURN @ np.array(direction, float)
        camera = look_at(np.zeros(3), world, TURN @ np.array([0.0, 0.3, 1.0]), 400.0, 3, 3)
        seen = backdrop_image(marked, TURN, camera)[1, 1]
        assert seen[channel] > 0.9, (direction, seen)


def test_the_place_of_the_camera_does_not_matter():
    first = look_at(np.zeros(3), np.array([1.0, 2, 3]), UP, 20.0, 8, 8)
    second = look_at(np.array([5.0, 5, 5]), np.array([6.0, 7, 8]), UP, 20.0, 8, 8)
    assert torch.allclose(*(backdrop_image(colors(), TURN, camera) for camera in (first, second)), atol=1e-5)


def test_the_kernel_sees_what_the_reference_sees():
    given, camera = colors(), past_the_pole()
    expected = backdrop_image_reference(given.double(), TURN, camera)
    assert (backdrop_image(given, TURN, camera) - expected).abs().max() < 2e-5


def test_the_kernel_has_the_reference_s_gradient():
    camera = past_the_pole()
    slope = torch.randn(22, 34, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    given, true = colors().requires_grad_(), colors().double().requires_grad_()
    backdrop_image(given, TURN, camera).backward(slope.float())
    backdrop_image_reference(true, TURN, camera).backward(slope)
    assert (given.grad - true.grad).norm() < 1e-4 * true.grad.norm()


def test_the_reference_s_gradient_is_that_of_finite_differences():
    camera, given = past_the_pole(9, 7), colors(3, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: backdrop_image_reference(t, TURN, camera), given)
    assert torch.autograd.gradcheck(roughness, given)


def test_roughness_is_that_of_the_ring():
    level = torch.full((4, 8, 3), 0.3)
    assert roughness(level) == 0
    level[:, 0] = 0.5  # both of its neighbours differ, one of them across the seam
    assert roughness(level) == pytest.approx(2 / 8 * 0.04, rel=1e-4)


def test_a_backdrop_learns_the_sky():
    """From grey to a map of which cameras all around show everything, within a few steps."""
    true = torch.nn.functional.interpolate(colors(3).permute(2, 0, 1)[None], size=(8, 16), mode="bilinear")[0]
    true = true.permute(1, 2, 0).contiguous()
    learned = LearnedBackdrop(torch.full((8, 16, 3), 0.5), UP)
    random = np.random.default_rng(0)
    cameras = [look_at(np.zeros(3), random.normal(size=3), UP, 8.0, 16, 16) for _ in range(12)]

    def error() -> float:
        with torch.no_grad():
            seen = [learned.image(camera) - backdrop_image(true, TURN, camera) for camera in cameras]
        return float(torch.stack(seen).abs().mean())

    before = error()
    for group in learned.optimizer.param_groups:
        group["lr"] = 0.02
    for step in range(72):
        camera = cameras[step % len(cameras)]
        loss = (learned.image(camera) - backdrop_image(true, TURN, camera)).abs().mean() + 0.01 * learned.roughness()
        learned.optimizer.zero_grad()
        loss.backward()
        learned.optimizer.step()
        learned.confine()
    assert error() < 0.25 * before
    assert learned.colors.min() >= 0 and learned.colors.max() <= 1
