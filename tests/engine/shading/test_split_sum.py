"""Split-sum shading: limits, energy, gradients of the reference against finite differences and of numba against it.

The random scene has normals of any length, one in ten turned away from the viewer, under a random light.
"""

from __future__ import annotations

import numba
import pytest
import torch
from torch.nn.functional import normalize

from engine.scene.environment import direction_of_texel, texel_solid_angle
from engine.shading.albedo import TABLE_SIZE
from engine.shading.brdf import albedo_terms, evaluate
from engine.shading.equirectangular import sample, uv_from_direction
from engine.shading.split_sum import facing_normal, lobe_direction, prefilter, shade, specular_occlusion

NAMES = ("radiance", "normal", "base_color", "roughness", "metallic", "occlusion")


def scene(count: int, dtype=torch.float64, height: int = 16, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    normal, view = randn(count, 3) * 1.7, normalize(randn(count, 3), dim=-1)
    away = (normal * view).sum(-1, keepdim=True) < 0
    normal = torch.where(away & (rand(count, 1) < 0.8), -normal, normal)
    values = {
        "radiance": rand(height, 2 * height, 3) * 2,
        "rotation": torch.linalg.qr(randn(3, 3))[0],
        "normal": normal,
        "view": view,
        "base_color": rand(count, 3),
        "roughness": rand(count),
        "metallic": rand(count),
        "occlusion": rand(count),
    }
    return {name: value.to(dtype) for name, value in values.items()}


def shaded(implementation: str, values: dict[str, torch.Tensor]):
    arguments = dict(values)
    return shade(implementation, prefilter(arguments.pop("radiance")), **arguments)


def gradients(implementation: str, values: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    values = dict(values)
    names = [name for name in NAMES if values.get(name) is not None]
    for name in names:
        values[name] = values[name].clone().requires_grad_()
    result = shaded(implementation, values)
    generator = torch.Generator().manual_seed(9)
    first, second = (torch.rand(result.diffuse.shape, generator=generator).to(result.diffuse.dtype) for _ in range(2))
    (result.diffuse * first + result.specular * second).sum().backward()
    return torch.cat([result.diffuse, result.specular]).detach(), {name: values[name].grad for name in names}


def smooth_points(count: int) -> dict[str, torch.Tensor]:
    """A scene without points near the kinks of bilinear lookups, where differences disagree with any gradient."""
    values = scene(4000, seed=4)
    normal, cosine = facing_normal(values["normal"] @ values["rotation"].T, values["view"] @ values["rotation"].T)
    lobe = lobe_direction(normal, values["view"] @ values["rotation"].T, cosine, values["roughness"])
    scale = torch.tensor([32.0, 16.0], dtype=torch.float64)
    positions = [uv_from_direction(d) * scale - 0.5 for d in (normal, lobe)]
    positions += [values["roughness"][:, None] * 7, values["roughness"][:, None] * (TABLE_SIZE - 1)]
    positions.append(cosine[:, None] * (TABLE_SIZE - 1))
    part = torch.cat(positions, -1) % 1
    open_lobe = specular_occlusion(cosine, values["occlusion"], values["roughness"])
    good = ((part > 0.02) & (part < 0.98)).all(-1) & (open_lobe > 0.01) & (open_lobe < 0.99)
    good &= ((values["normal"] * values["view"]).sum(-1) / values["normal"].norm(dim=-1) - 0.01).abs() > 1e-3
    kept = good.nonzero()[:count, 0]
    return {name: value if name in ("radiance", "rotation") else value[kept] for name, value in values.items()}


def test_reference_agrees_with_finite_differences():
    values = smooth_points(12)
    assert ((values["normal"] * values["view"]).sum(-1) < 0).any()  # a bent normal is among them

    light = prefilter(values.pop("radiance"))

    def function(*inputs):
        result = shade("reference", light, **{**values, **dict(zip(NAMES[1:], inputs, strict=True))})
        return result.diffuse, result.specular

    inputs = [values[name].clone().requires_grad_() for name in NAMES[1:]]
    assert torch.autograd.gradcheck(function, inputs, eps=1e-7, atol=1e-5)


def test_reference_gradient_of_the_light_agrees_with_finite_differences():
    values = scene(50)
    _, expected = gradients("reference", values)
    direction = torch.rand(values["radiance"].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = torch.Generator().manual_seed(9)
    first, second = (torch.rand(50, 3, generator=weights).double() for _ in range(2))

    def loss(shift):
        result = shaded("reference", {**values, "radiance": values["radiance"] + shift * direction})
        return (result.diffuse * first + result.specular * second).sum()

    difference = (loss(1e-3) - loss(-1e-3)) / 2e-3
    assert torch.allclose(difference, (expected["radiance"] * direction).sum(), rtol=1e-6)


@pytest.mark.parametrize("occluded", [True, False])
def test_numba_agrees_with_the_reference(occluded):
    values = scene(3000)
    if not occluded:
        values["occlusion"] = None
    expected, slopes = gradients("reference", values)
    single = {name: None if value is None else value.float() for name, value in values.items()}
    result, found = gradients("numba", single)
    assert torch.allclose(result.double(), expected, atol=1e-4)
    for name, slope in slopes.items():
        error = (found[name] - slope).abs()
        # a handful of points fall into the neighbouring cell of a lookup, where the slope is another one
        assert error.norm() < 5e-3 * slope.norm(), name
        assert error.median() < 1e-5 * slope.abs().max(), name


def test_numba_gives_the_same_bits_for_any_thread_count():
    values = {name: value.float() for name, value in scene(5000).items()}
    threads = numba.get_num_threads()
    try:
        outcomes = []
        for count in (1, threads):
            numba.set_num_threads(count)
            outcomes.append(gradients("numba", values))
    finally:
        numba.set_num_threads(threads)
    (first, first_slopes), (second, second_slopes) = outcomes
    assert torch.equal(first, second)
    for name in NAMES:
        assert torch.equal(first_slopes[name], second_slopes[name]), name


@pytest.mark.parametrize("implementation", ["reference", "numba"])
def test_white_furnace_never_gains_energy(implementation):
    values = {name: value.float() for name, value in scene(2000).items()}
    values |= {"radiance": torch.ones(16, 32, 3), "base_color": torch.ones(2000, 3), "occlusion": None}
    color = shaded(implementation, values).color
    assert color.max() < 1 + 1e-5
    values["metallic"] = torch.zeros(2000)
    assert torch.allclose(shaded(implementation, values).color, torch.tensor(1.0), atol=1e-5)


def test_a_smooth_metal_is_a_mirror_and_a_rough_one_sees_the_widest_lobe():
    values = scene(200)
    values |= {"base_color": torch.ones(200, 3).double(), "metallic": torch.ones(200).double(), "occlusion": None}
    normal, cosine = facing_normal(values["normal"], values["view"])
    mirrored = (2 * cosine[:, None] * normal - values["view"]) @ values["rotation"].T
    smooth = shaded("reference", {**values, "roughness": torch.zeros(200).double()})
    assert torch.allclose(smooth.color, sample(values["radiance"], None, mirrored))
    rough = shaded("reference", {**values, "roughness": torch.ones(200).double()})
    light = sample(prefilter(values["radiance"]).specular[-1], None, normal @ values["rotation"].T)
    albedo = albedo_terms(cosine, torch.ones_like(cosine)).sum(-1, keepdim=True)
    assert torch.allclose(rough.color, light * albedo)


@pytest.mark.parametrize("implementation", ["reference", "numba"])
def test_degenerate_normals_give_finite_values_and_gradients(implementation):
    values = {name: value.float() for name, value in scene(6).items()}
    values["view"] = torch.tensor([[0.0, 0.0, 1.0]]).repeat(6, 1)
    values["rotation"] = torch.eye(3)
    values["normal"] = torch.tensor(
        [[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    )
    result, slopes = gradients(implementation, values)
    assert torch.isfinite(result).all()
    assert all(torch.isfinite(slope).all() for slope in slopes.values())


def test_occlusion_darkens_and_open_points_are_unchanged():
    values = scene(100)
    unoccluded = shaded("reference", {**values, "occlusion": None}).color
    opened = shaded("reference", {**values, "occlusion": torch.ones(100).double()}).color
    assert torch.allclose(opened, unoccluded)
    assert (shaded("reference", values).color <= unoccluded + 1e-12).all()
    assert torch.equal(shaded("reference", {**values, "occlusion": torch.zeros(100).double()}).color, opened * 0)


@pytest.mark.parametrize(
    ("metallic", "roughness", "bound"), [(1.0, 0.4, 0.2), (1.0, 0.8, 0.13), (0.0, 0.4, 0.08), (0.0, 0.8, 0.03)]
)
def test_agrees_with_the_integrated_brdf_within_the_stated_error(metallic, roughness, bound):
    """Three soft lamps over a grey sky; the BRDF is summed over all texels."""
    height, count = 32, 60
    directions = torch.tensor(direction_of_texel(height, 2 * height)).reshape(-1, 3)
    angles = torch.tensor(texel_solid_angle(height, 2 * height).copy()).reshape(-1, 1)
    radiance = 0.3 + 0.4 * directions[:, 1:2].clamp_min(0)
    lamps = (((0.6, 0.5, 0.3), 30, 6.0), ((-0.7, 0.2, 0.6), 60, 10.0), ((0.0, 0.9, -0.3), 15, 3.0))
    for axis, sharpness, power in lamps:
        cosine = directions @ normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
        radiance = radiance + power * torch.exp(sharpness * (cosine - 1))[:, None]
    radiance = radiance.expand(-1, 3)
    generator = torch.Generator().manual_seed(0)
    normal, view = normalize(torch.randn(2, count, 3, generator=generator, dtype=torch.float64), dim=-1)
    normal = torch.where((normal * view).sum(-1, keepdim=True) < 0, -normal, normal)
    kept = (normal * view).sum(-1) > 0.1
    normal, view = normal[kept], view[kept]
    count = len(normal)
    base = torch.full((count, 3), 0.5 + 0.4 * metallic, dtype=torch.float64)
    rough, metal = (torch.full((count,), value, dtype=torch.float64) for value in (roughness, metallic))

    def spread(x):
        return x[:, None].expand(-1, len(directions), *x.shape[1:])

    light = directions[None].expand(count, -1, -1)
    reflected = evaluate(spread(normal), spread(view), light, spread(base), spread(rough), spread(metal))
    truth = (reflected * radiance * angles).sum(1)
    ready = prefilter(radiance.reshape(height, 2 * height, 3))
    color = shade("reference", ready, torch.eye(3).double(), normal, view, base, rough, metal).color
    assert (color - truth).square().mean().sqrt() < bound * truth.mean()
    assert abs((color - truth).mean()) < 0.02 * truth.mean()


def test_no_points_give_no_radiance_and_finite_gradients():
    values = {name: value.float() for name, value in scene(0).items()}
    result, slopes = gradients("numba", values)
    assert result.shape == (0, 3)
    assert torch.equal(slopes["radiance"], torch.zeros_like(slopes["radiance"]))


def test_unknown_implementation_is_refused():
    with pytest.raises(ValueError, match="reference or numba"):
        shaded("embree", scene(3))
