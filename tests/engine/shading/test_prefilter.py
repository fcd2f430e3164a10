"""Prefiltering against brute force, its limits, and the direction conventions of engine/scene/environment.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.scene.environment import direction_of_texel, texel_solid_angle, uv_of_direction
from engine.shading.equirectangular import pad, sample, uv_from_direction
from engine.shading.prefilter import prefilter


def random_light(height: int = 16, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(height, 2 * height, 3, generator=generator, dtype=torch.float64).to(dtype) ** 3 * 5


def test_a_constant_light_stays_constant():
    light = prefilter(torch.full((16, 32, 3), 2.5, dtype=torch.float64))
    assert torch.allclose(light.levels, torch.tensor(2.5, dtype=torch.float64))
    assert torch.equal(light.padded[..., 3], torch.zeros_like(light.padded[..., 3]))


def test_level_zero_is_the_light_itself_and_rough_levels_vary_less():
    radiance = random_light()
    light = prefilter(radiance)
    assert torch.equal(light.specular[0], radiance) and torch.equal(light.radiance, radiance)
    spread = light.specular.std((1, 2)).mean(-1)
    assert (spread.diff() < 0).all()


@pytest.mark.parametrize("level", [2, 4, 7])
def test_prefilter_agrees_with_monte_carlo_over_the_lobe(level):
    """Karis' estimate: half vectors drawn from the GGX density around the axis, light weighted by n.l."""
    radiance = random_light()
    light = prefilter(radiance)
    alpha = (level / 7) ** 2
    generator = torch.Generator().manual_seed(2)
    u, phi = torch.rand(2, 100_000, generator=generator, dtype=torch.float64)
    cosine = ((1 - u) / (1 + (alpha**2 - 1) * u)).sqrt()
    sine, phi = (1 - cosine**2).sqrt(), phi * 2 * torch.pi
    half = torch.stack([sine * phi.cos(), sine * phi.sin(), cosine], -1)
    lobe = 2 * cosine[:, None] * half - torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    for row, column in ((0, 3), (5, 30), (11, 9)):
        axis = torch.tensor(direction_of_texel(16, 32)[row, column])
        tangent = torch.nn.functional.normalize(torch.linalg.cross(axis, axis.roll(1)), dim=0)
        frame = torch.stack([tangent, torch.linalg.cross(axis, tangent), axis], -1)
        uv = uv_from_direction(lobe @ frame.T)  # texels are constant here, as they are to the operator
        column_hit = (uv[:, 0] * 32).long() % 32
        row_hit = (uv[:, 1] * 16).long().clamp(max=15)
        weight = lobe[:, 2:].clamp_min(0)
        expected = (radiance[row_hit, column_hit] * weight).sum(0) / weight.sum()
        assert torch.allclose(light.specular[level, row, column], expected, rtol=0.05)


def test_diffuse_is_the_irradiance_over_pi():
    radiance = random_light()
    directions = torch.tensor(direction_of_texel(16, 32)).reshape(-1, 3)
    weight = (directions @ directions.T).clamp_min(0) * torch.tensor(texel_solid_angle(16, 32)).reshape(-1) / torch.pi
    expected = (weight @ radiance.reshape(-1, 3)).reshape(16, 32, 3)
    assert torch.allclose(prefilter(radiance).diffuse, expected, rtol=0.02)


def test_the_operator_turns_with_the_light_and_mirrors_with_it():
    radiance = random_light()
    light = prefilter(radiance).levels
    assert torch.allclose(prefilter(radiance.roll(5, 1)).levels, light.roll(5, 2))
    assert torch.allclose(prefilter(radiance.flip(0)).levels, light.flip(1))


def test_gradient_is_the_transpose():
    x = random_light(8).requires_grad_()
    light = prefilter(x, 4)
    weight = torch.rand_like(light.padded, generator=torch.Generator().manual_seed(3)).detach()
    (light.padded * weight).sum().backward()
    other = random_light(8).flip(0)
    assert torch.allclose((x.grad * other).sum(), (prefilter(other, 4).padded * weight).sum())


def test_the_same_bits_for_any_thread_count():
    threads, outcomes = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            x = random_light(32, torch.float32).requires_grad_()
            light = prefilter(x)
            light.padded.square().sum().backward()
            outcomes.append((light.padded.detach(), x.grad))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(outcomes[0][0], outcomes[1][0]) and torch.equal(outcomes[0][1], outcomes[1][1])


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even width"):
        prefilter(torch.ones(8, 15, 3))


def test_directions_follow_the_scene_convention():
    directions = torch.tensor(direction_of_texel(16, 32))
    assert np.allclose(uv_from_direction(directions).numpy(), uv_of_direction(directions.numpy()))
    radiance = random_light()
    assert torch.allclose(sample(radiance, None, directions.reshape(-1, 3)), radiance.reshape(-1, 3))


def test_lookup_wraps_around_and_over_the_poles():
    radiance = random_light()
    bordered = pad(radiance)[..., :3]
    assert torch.equal(bordered[0, 1:-1], radiance[0].roll(16, 0))
    assert torch.equal(bordered[1:-1, 0], radiance[:, -1])
    assert torch.equal(bordered[0, 0], radiance[0, 15])
    for point in ([0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [1e-4, 0.0, 1.0]):
        nearby = torch.tensor([point, [point[0] + 1e-7, point[1], point[2]], [point[0], point[1], point[2] + 1e-7]])
        values = sample(radiance, None, nearby.double())
        assert torch.isfinite(values).all()
    sides = torch.tensor([[1e-5, 0.2, 1.0], [-1e-5, 0.2, 1.0], [0.0, 1.0, 1e-6], [1e-9, 1.0, 1e-6]]).double()
    values = sample(radiance, None, sides)
    assert torch.allclose(values[0], values[1], rtol=1e-3) and torch.allclose(values[2], values[3], rtol=0.05)
