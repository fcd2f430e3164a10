"""The BRDF under a white furnace (a light of radiance 1 from everywhere) and with view and light exchanged."""

from __future__ import annotations

import math

import pytest
import torch

from engine.shading.albedo import average_albedo, specular_albedo
from engine.shading.brdf import albedo_terms, evaluate


def furnace(cosine: float, base: float, roughness: float, metallic: float) -> float:
    """Reflected radiance under a light of 1: a midpoint rule in half-vector space keeps narrow lobes resolved."""
    count = 160
    normal = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    view = torch.tensor([math.sqrt(1 - cosine * cosine), 0.0, cosine], dtype=torch.float64)
    # half of the light directions follow the lobe, half the cosine (balance heuristic)
    u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    phi, xi = torch.meshgrid(u * 2 * math.pi, u, indexing="ij")
    phi, xi = phi.reshape(-1), xi.reshape(-1)
    alpha2 = max(roughness**2, 1e-4) ** 2
    half_cos = ((1 - xi) / (1 + (alpha2 - 1) * xi)).sqrt()

    def around(c):
        s = (1 - c * c).clamp_min(0).sqrt()
        return torch.stack([s * phi.cos(), s * phi.sin(), c], -1)

    half = around(half_cos)
    lights = torch.cat([2 * (half @ view)[:, None] * half - view, around((1 - xi).sqrt())])
    bisector = torch.nn.functional.normalize(lights + view, dim=-1)
    c = bisector[:, 2].clamp(0, 1)
    lobe = alpha2 / (math.pi * (c * c * (alpha2 - 1) + 1) ** 2) * c / (4 * (bisector @ view).clamp_min(1e-9))
    density = 0.5 * lobe + 0.5 * lights[:, 2].clamp_min(0) / math.pi
    shape = lights.shape[:1]
    value = evaluate(
        normal.expand_as(lights),
        view.expand_as(lights),
        lights,
        torch.full((*shape, 3), base, dtype=torch.float64),
        torch.full(shape, roughness, dtype=torch.float64),
        torch.full(shape, metallic, dtype=torch.float64),
    )[:, 0]
    return float((value / density.clamp_min(1e-12)).mean())


@pytest.mark.parametrize("roughness", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 0.5, 1.0])
def test_white_furnace_never_gains_energy(roughness, metallic):
    for cosine in (0.05, 0.3, 0.9):
        assert furnace(cosine, 1.0, roughness, metallic) < 1.01


@pytest.mark.parametrize("roughness", [0.1, 0.5, 1.0])
def test_white_furnace_returns_everything_from_a_white_dielectric(roughness):
    for cosine in (0.1, 0.8):
        assert furnace(cosine, 1.0, roughness, 0.0) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("roughness", "loss"), [(0.1, 0.002), (0.5, 0.1), (1.0, 0.7)])
def test_white_furnace_loss_of_a_metal_is_the_stated_one(roughness, loss):
    reflected = furnace(0.999, 1.0, roughness, 1.0)
    assert 1 - loss - 0.005 < reflected < 1.005


def test_specular_albedo_table_is_the_integral_of_the_lobe():
    for cosine in (0.2, 0.7):
        for roughness in (0.2, 0.6, 1.0):
            terms = albedo_terms(torch.tensor(cosine), torch.tensor(roughness))
            assert float(terms.sum()) == pytest.approx(furnace(cosine, 1.0, roughness, 1.0), abs=0.01)


def test_specular_albedo_table_is_the_same_each_time():
    first = specular_albedo().copy()
    specular_albedo.cache_clear()
    assert (first == specular_albedo()).all()
    assert average_albedo().sum(-1).max() <= 1.0001


def test_reciprocity():
    generator = torch.Generator().manual_seed(5)
    count = 500
    normal, view, light = (
        torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=-1)
        for _ in range(3)
    )
    view = torch.where((view * normal).sum(-1, keepdim=True) < 0, -view, view)
    light = torch.where((light * normal).sum(-1, keepdim=True) < 0, -light, light)
    base = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    rough, metal = (torch.rand(count, generator=generator, dtype=torch.float64) for _ in range(2))
    forward = evaluate(normal, view, light, base, rough, metal) / (normal * light).sum(-1, keepdim=True).clamp_min(1e-4)
    backward = evaluate(normal, light, view, base, rough, metal) / (normal * view).sum(-1, keepdim=True).clamp_min(1e-4)
    assert torch.allclose(forward, backward, rtol=1e-9, atol=1e-12)


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(6)
    normal = torch.tensor([[0.0, 0.0, 1.0]] * 4, dtype=torch.float64)
    view, light = (torch.rand(4, 3, generator=generator, dtype=torch.float64) + 0.2 for _ in range(2))
    view, light = (torch.nn.functional.normalize(x, dim=-1) for x in (view, light))
    base = torch.rand(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    rough = (torch.rand(4, generator=generator, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    metal = torch.rand(4, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda b, r, m: evaluate(normal, view, light, b, r, m), (base, rough, metal))
