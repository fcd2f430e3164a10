"""The split sum's numba kernels as one differentiable torch operation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.shading.albedo import specular_albedo
from engine.shading.shade_kernels import CHUNKS, shade_backward, shade_forward, sum_chunks

_NONE = np.empty(0, np.float32)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float32).contiguous().numpy()


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx, maps, rotation, normal, view, base_color, roughness, metallic, occlusion):
        arrays = [_array(x) for x in (maps, rotation, normal, view, base_color, roughness, metallic)]
        arrays.append(_NONE if occlusion is None else _array(occlusion))
        maps_array, *points = arrays
        diffuse, specular = np.empty_like(points[1]), np.empty_like(points[1])
        shade_forward(maps_array, specular_albedo(), *points, diffuse, specular)
        ctx.arrays = arrays
        return torch.from_numpy(diffuse), torch.from_numpy(specular)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_diffuse, grad_specular):
        maps, *points = ctx.arrays
        rotation, normal, view, base_color, roughness, metallic, occlusion = points
        with_light, with_normal = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        d_maps = np.zeros((CHUNKS, len(maps) if with_light else 0, *maps.shape[1:]), np.float32)
        gradients = [np.empty_like(x) for x in (normal if with_normal else normal[:0], base_color, roughness)]
        gradients += [np.empty_like(metallic), np.empty_like(occlusion)]
        incoming = _array(grad_diffuse), _array(grad_specular)
        shade_backward(maps, specular_albedo(), *points, *incoming, d_maps, *gradients)
        d_light = None
        if with_light:
            total = np.empty_like(maps)
            sum_chunks(d_maps.reshape(CHUNKS, -1), total.reshape(-1))
            d_light = torch.from_numpy(total)
        d_normal, d_base, d_roughness, d_metallic, d_occlusion = (torch.from_numpy(x) for x in gradients)
        d_normal = d_normal if with_normal else None
        d_occlusion = d_occlusion if ctx.needs_input_grad[7] else None
        return d_light, None, d_normal, None, d_base, d_roughness, d_metallic, d_occlusion


def shade_numba(
    padded: Tensor,  # [L+1,H+2,W+2,4] PrefilteredLight.padded
    rotation: Tensor,  # [3,3]
    normal: Tensor,  # [P,3]
    view: Tensor,  # [P,3]
    base_color: Tensor,  # [P,3]
    roughness: Tensor,  # [P]
    metallic: Tensor,  # [P]
    occlusion: Tensor | None,  # [P]
) -> tuple[Tensor, Tensor]:
    """(diffuse [P,3], specular [P,3]) as `shade` of split_sum.py defines them; float32 on the CPU."""
    return _Shade.apply(padded, rotation, normal, view, base_color, roughness, metallic, occlusion)
