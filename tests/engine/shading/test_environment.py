"""The learnable light: frames, directions, priors, and the way to and from the scene's Environment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.scene import Environment
from engine.scene.camera import look_at
from engine.scene.environment import direction_of_texel
from engine.shading.environment import PRIORS, EnvironmentLight
from engine.shading.split_sum import shade


def turn(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def random_map(height: int = 16) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 3, (height, 2 * height, 3)).astype(np.float32)


def test_environment_round_trip_and_area_average():
    environment = Environment(random_map(), turn(30), "camera")
    back = EnvironmentLight.from_environment(environment, 16).environment()
    assert np.allclose(back.radiance, environment.radiance, rtol=1e-5)
    assert np.allclose(back.world_from_environment, environment.world_from_environment) and back.frame == "camera"
    small = EnvironmentLight.from_environment(environment, 8).environment().radiance
    assert np.allclose(small[0, 0], environment.radiance[:2, :2].mean((0, 1)), rtol=1e-5)


def test_background_looks_where_the_scene_says():
    light = EnvironmentLight(radiance=random_map(), world_from_environment=turn(40))
    world = direction_of_texel(16, 32) @ turn(40).T
    seen = light.background(torch.tensor(world, dtype=torch.float32))
    assert torch.allclose(seen, light.radiance(), rtol=1e-3)


def test_light_in_the_camera_frame_turns_with_the_camera():
    light = EnvironmentLight(radiance=random_map(), world_from_environment=turn(25), frame="camera")
    up = np.array([0.0, 1.0, 0.0])
    poses = [look_at(np.array(p), np.zeros(3), up, 100.0, 8, 8).world_from_camera for p in ((0, 1, 3.0), (2, -1, 1.0))]
    local = torch.tensor([[0.3, 0.1, 1.0]])
    seen = [light.background(local @ torch.tensor(pose[:3, :3].T, dtype=torch.float32), pose) for pose in poses]
    assert torch.allclose(seen[0], seen[1], atol=1e-4)
    with pytest.raises(ValueError, match="world_from_camera"):
        light.background(local)


def test_a_lit_side_is_the_side_of_the_light():
    """Light from world +X only, on a map whose own frame is turned: normals toward +X are bright, others dark."""
    radiance = np.where((direction_of_texel(16, 32) @ turn(-70).T)[..., :1] > 0.5, 5.0, 0.0) + np.zeros(3)
    light = EnvironmentLight(radiance=radiance, world_from_environment=turn(-70))
    normal = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    for name in ("reference", "numba"):
        diffuse = shade(
            name, light.prefiltered(), light.environment_from_world(), normal, normal,
            torch.ones(3, 3), torch.ones(3), torch.zeros(3),
        ).diffuse.mean(-1)  # fmt: skip
        assert diffuse[0] > 2 and diffuse[1] < 0.01 and 0.01 < diffuse[2] < 1


def test_priors_are_zero_for_the_initial_grey_and_grow_otherwise():
    light = EnvironmentLight(8, 0.7)
    assert all(float(prior(light).detach()) == pytest.approx(0, abs=1e-6) for prior in PRIORS.values())
    with torch.no_grad():
        light.log_radiance[..., 0] += 0.5
        light.log_radiance[2:4, 5] += 1
    for prior in PRIORS.values():
        value = prior(light)
        assert value > 1e-4
        (gradient,) = torch.autograd.grad(value, light.log_radiance)
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


def test_rescale_reaches_the_mean():
    light = EnvironmentLight(radiance=random_map())
    factor = light.rescale(1.0)
    assert float(light.scale(1.0).detach()) == pytest.approx(0, abs=1e-8)
    assert np.allclose(light.environment().radiance, random_map() * factor, rtol=1e-4)


def test_a_learned_light_reproduces_what_it_shades():
    truth = EnvironmentLight(radiance=random_map(8)).prefiltered()
    light = EnvironmentLight(8, 1.0)
    generator = torch.Generator().manual_seed(0)
    normal = torch.nn.functional.normalize(torch.randn(2000, 3, generator=generator), dim=-1)
    rest = (normal, torch.full((2000, 3), 0.8), torch.full((2000,), 0.3), torch.full((2000,), 0.5))
    target = shade("numba", truth, torch.eye(3), normal, *rest).color.detach()
    optimizer = torch.optim.Adam(light.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (shade("numba", light.prefiltered(), torch.eye(3), normal, *rest).color - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]
