"""Shading by the split sum (Karis 2013): prefiltered light times the BRDF's albedo; readable torch, and a numba kernel.

Biases of the method, by design: the light is unshadowed but for `occlusion`, and lobes are radially symmetric. Rough
lobes are looked up where they are strongest, between mirror and normal: against the integrated BRDF under three soft
lamps this leaves an RMS error of 7-17 % of the mean for metal and 1-7 % for plastic, where the plain mirror direction
of Karis leaves 18-43 % and 2-7 %. No compensation for multiple scattering, as in the BRDF. Diffuse light is weighted
by 1 - specular albedo, as glTF viewers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.shading.brdf import albedo_terms, normal_reflectance
from engine.shading.equirectangular import sample
from engine.shading.prefilter import PrefilteredLight, prefilter

__all__ = ["PrefilteredLight", "Shaded", "prefilter", "shade"]

Implementation = Literal["reference", "numba"]

MIN_FACING = 0.01  # the least cosine between shading normal and view


@dataclass(frozen=True)
class Shaded:
    """Linear radiance toward the camera, and its two parts."""

    diffuse: Tensor  # [P,3] base colour included
    specular: Tensor  # [P,3]

    @property
    def color(self) -> Tensor:
        """[P,3] diffuse + specular."""
        return self.diffuse + self.specular


def facing_normal(normal: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """(unit normal [P,3] that faces `view` [P,3], its cosine with the view [P]) of normals [P,3] of any length.

    A normal that faces away, as interpolated ones do at silhouettes, is bent toward the view until the cosine is about
    0.01; continuous, never NaN, and its gradient still turns the normal.
    """
    normal = normal * (normal * normal).sum(-1, keepdim=True).clamp_min(1e-20).rsqrt()
    lacking = (MIN_FACING - (normal * view).sum(-1, keepdim=True)).clamp_min(0)
    bent = normal + lacking * view
    bent = bent * (bent * bent).sum(-1, keepdim=True).clamp_min(1e-20).rsqrt()
    return bent, (bent * view).sum(-1)


def lobe_direction(normal: Tensor, view: Tensor, cosine: Tensor, roughness: Tensor) -> Tensor:
    """[P,3], not unit: where a lobe is strongest, from the mirror's direction when smooth to the normal when rough.

    Lagarde and de Rousiers 2014, section 4.9.3.
    """
    alpha = (roughness * roughness).clamp(max=1)
    smooth = 1 - alpha
    toward_mirror = (smooth**1.5 + smooth * alpha)[:, None]
    return normal + toward_mirror * ((2 * cosine[:, None] - 1) * normal - view)


def specular_occlusion(cosine: Tensor, occlusion: Tensor, roughness: Tensor) -> Tensor:
    """How much of a lobe [P] sees the light, from ambient occlusion (Lagarde and de Rousiers 2014, section 4.10.2)."""
    power = torch.exp2(-16 * roughness - 1)
    return ((cosine + occlusion) ** power - 1 + occlusion).clamp(0, 1)


def _shade_reference(light, rotation, normal, view, base_color, roughness, metallic, occlusion) -> Shaded:
    normal, view = normal @ rotation.T, view @ rotation.T
    normal, cosine = facing_normal(normal, view)
    lobe = lobe_direction(normal, view, cosine, roughness)
    levels = len(light.levels) - 1
    position = roughness.clamp(0, 1) * (levels - 1)
    low = position.detach().long().clamp(max=levels - 2)
    part = (position - low)[:, None]
    radiance = sample(light.levels, low, lobe) * (1 - part) + sample(light.levels, low + 1, lobe) * part
    terms = albedo_terms(cosine, roughness)
    albedo = normal_reflectance(base_color, metallic) * terms[:, :1] + terms[:, 1:]
    irradiance = sample(light.diffuse, None, normal)
    diffuse = (1 - metallic)[:, None] * base_color * (1 - albedo) * irradiance
    specular = albedo * radiance
    if occlusion is not None:
        diffuse = diffuse * occlusion[:, None]
        specular = specular * specular_occlusion(cosine, occlusion, roughness)[:, None]
    return Shaded(diffuse, specular)


def shade(
    implementation: Implementation,
    light: PrefilteredLight,
    rotation: Tensor,  # [3,3] environment_from_world, no gradient
    normal: Tensor,  # [P,3] world, any length; may face away, see `facing_normal`
    view: Tensor,  # [P,3] world, unit, toward the camera, no gradient
    base_color: Tensor,  # [P,3] linear, in [0,1]
    roughness: Tensor,  # [P] in [0,1]
    metallic: Tensor,  # [P] in [0,1]
    occlusion: Tensor | None = None,  # [P] in [0,1]; 1 = open. Diffuse times it, specular times `specular_occlusion`
) -> Shaded:
    """Radiance of P surface points, with gradients to light, normal, base colour, roughness, metallic and occlusion.

    `reference` is torch of any dtype and device; `numba` is float32 on the CPU, the same bits for any thread count.
    Points of several views may be shaded in one call where they share the rotation. Raises ValueError for another name.
    """
    if implementation == "reference":
        return _shade_reference(light, rotation, normal, view, base_color, roughness, metallic, occlusion)
    if implementation != "numba":
        raise ValueError(f"unknown shading implementation {implementation!r}; use reference or numba")
    from engine.shading.shade_numba import shade_numba

    return Shaded(*shade_numba(light.padded, rotation, normal, view, base_color, roughness, metallic, occlusion))
