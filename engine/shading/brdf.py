"""The metallic-roughness BRDF as plain torch, any dtype and device: GGX specular over an energy-conserving diffuse.

Specular is glTF 2.0's (appendix B): GGX with alpha = roughness^2, height-correlated Smith visibility, Schlick's Fresnel
with F0 = lerp(0.04, base colour, metallic). It scatters once only, as in glTF viewers without compensation: in the
white furnace a metal of F0 = 1 loses 0.5 / 12 / 59 % at roughness 0.2 / 0.5 / 1 in the mean over directions, at worst
11 / 16 / 69 %. The diffuse lobe departs from the appendix's example, whose weight 1 - F(v.h) makes the whole reflect
up to 1.9 times the light that arrives at grazing angles. Its weight here is (1 - E(v)) (1 - E(l)) / (1 - mean E), E
being the specular albedo (Kelemen and Szirmay-Kalos 2001): reciprocal, and reflecting 1 - E(v) of a uniform light,
which is what glTF viewers weigh diffuse environment light with. A white dielectric returns exactly what arrives.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from engine.shading.albedo import average_albedo, specular_albedo

MIN_ALPHA = 1e-4  # a narrower lobe is a mirror, which cannot be evaluated
DIELECTRIC = 0.04


@functools.lru_cache(maxsize=8)
def _tables(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    return tuple(torch.tensor(table, dtype=dtype, device=device) for table in (specular_albedo(), average_albedo()))


def _node(value: Tensor, size: int) -> tuple[Tensor, Tensor]:
    position = value.clamp(0, 1) * (size - 1)
    low = position.detach().long().clamp(max=size - 2)
    return low, (position - low)[..., None]


def albedo_terms(cosine: Tensor, roughness: Tensor) -> Tensor:
    """[...,2] (scale, bias) of F0 in the specular albedo, bilinear in the table; gradients to both inputs [...]."""
    table, _ = _tables(cosine.dtype, cosine.device)
    row, row_part = _node(roughness, table.shape[0])
    column, column_part = _node(cosine, table.shape[1])
    low = table[row, column] * (1 - column_part) + table[row, column + 1] * column_part
    high = table[row + 1, column] * (1 - column_part) + table[row + 1, column + 1] * column_part
    return low * (1 - row_part) + high * row_part


def average_terms(roughness: Tensor) -> Tensor:
    """[...,2] (scale, bias) of F0 in the specular albedo's cosine-weighted mean; gradient to `roughness` [...]."""
    _, table = _tables(roughness.dtype, roughness.device)
    row, part = _node(roughness, table.shape[0])
    return table[row] * (1 - part) + table[row + 1] * part


def normal_reflectance(base_color: Tensor, metallic: Tensor) -> Tensor:
    """[...,3] F0, what is reflected at normal incidence: lerp(0.04, base colour [...,3], metallic [...])."""
    return DIELECTRIC + metallic[..., None] * (base_color - DIELECTRIC)


def ggx_distribution(normal_half: Tensor, alpha: Tensor) -> Tensor:
    """GGX density of microfacet normals [...] per steradian, by their cosine (Walter et al. 2007, eq. 33)."""
    square = alpha * alpha
    return square / (torch.pi * (normal_half * normal_half * (square - 1) + 1) ** 2)


def smith_visibility(normal_view: Tensor, normal_light: Tensor, alpha: Tensor) -> Tensor:
    """Height-correlated Smith G2 / (4 n.v n.l) [...] (Heitz 2014, eq. 99)."""
    square = alpha * alpha
    view = normal_light * (normal_view * normal_view * (1 - square) + square).sqrt()
    light = normal_view * (normal_light * normal_light * (1 - square) + square).sqrt()
    return 0.5 / (view + light).clamp_min(1e-12)


def evaluate(
    normal: Tensor,  # [...,3] unit
    view: Tensor,  # [...,3] unit, toward the camera
    light: Tensor,  # [...,3] unit, toward the light
    base_color: Tensor,  # [...,3] linear, in [0,1]
    roughness: Tensor,  # [...] in [0,1]
    metallic: Tensor,  # [...] in [0,1]
) -> Tensor:
    """[...,3] BRDF times the cosine of the light, 0 where light or camera is behind the surface.

    Reciprocal and never above what arrives; see the head of this module for the formulas and the energy it loses.
    """
    normal_view, normal_light = (normal * view).sum(-1), (normal * light).sum(-1)
    seen = (normal_view > 0) & (normal_light > 0)
    normal_view, normal_light = normal_view.clamp(1e-4, 1), normal_light.clamp(1e-4, 1)
    half = torch.nn.functional.normalize(view + light, dim=-1, eps=1e-12)
    alpha = (roughness * roughness).clamp_min(MIN_ALPHA)
    reflectance = normal_reflectance(base_color, metallic)
    grazing = (1 - (view * half).sum(-1).clamp(0, 1)) ** 5
    fresnel = reflectance + (1 - reflectance) * grazing[..., None]
    density = ggx_distribution((normal * half).sum(-1).clamp(0, 1), alpha)
    specular = fresnel * (density * smith_visibility(normal_view, normal_light, alpha))[..., None]

    def left_over(terms: Tensor) -> Tensor:
        return 1 - (reflectance * terms[..., :1] + terms[..., 1:])

    weight = left_over(albedo_terms(normal_view, roughness)) * left_over(albedo_terms(normal_light, roughness))
    weight = weight / left_over(average_terms(roughness)).clamp_min(1e-6)
    diffuse = (1 - metallic[..., None]) * base_color * weight / torch.pi
    return torch.where(seen[..., None], (diffuse + specular) * normal_light[..., None], 0)
