"""Shading normals: interpolated vertex normals bent by a tangent-space normal map, as MikkTSpace says."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from engine.kernels.settings import kernel, parallel_kernel

CHUNK = 1024  # points of one turn of a parallel loop
ONE = np.float32(1)
SMALLEST = np.float32(1e-12)  # length of a normal that gives a direction; as in torch's normalize


def bent_normal_reference(normals: Tensor, tangents: Tensor, texture: Tensor) -> Tensor:
    """[P,3] unit normals; arguments as for `bent_normal`, differentiable in all of them."""
    tangent = tangents[:, :3]
    bitangent = tangents[:, 3:] * torch.linalg.cross(normals, tangent)
    height = texture[:, 2:] if texture.shape[1] == 3 else 1.0
    bent = texture[:, :1] * tangent + texture[:, 1:2] * bitangent + height * normals
    return torch.nn.functional.normalize(bent, dim=-1)


@kernel
def _bent(normals, tangents, texture, p):
    """The bent normal of point p before it is normalised, and the bitangent."""
    nx, ny, nz = normals[p, 0], normals[p, 1], normals[p, 2]
    tx, ty, tz, sign = tangents[p, 0], tangents[p, 1], tangents[p, 2], tangents[p, 3]
    bx, by, bz = sign * (ny * tz - nz * ty), sign * (nz * tx - nx * tz), sign * (nx * ty - ny * tx)
    u, v = texture[p, 0], texture[p, 1]
    w = texture[p, 2] if texture.shape[1] == 3 else ONE
    return u * tx + v * bx + w * nx, u * ty + v * by + w * ny, u * tz + v * bz + w * nz, bx, by, bz


@parallel_kernel
def _bend(normals, tangents, texture, out):
    count = normals.shape[0]
    for chunk in numba.prange((count + CHUNK - 1) // CHUNK):
        start = np.int64(chunk) * CHUNK
        for p in range(start, min(start + CHUNK, count)):
            x, y, z, _, _, _ = _bent(normals, tangents, texture, p)
            scale = ONE / max(np.sqrt(x * x + y * y + z * z), SMALLEST)
            out[p, 0], out[p, 1], out[p, 2] = x * scale, y * scale, z * scale


@parallel_kernel
def _bend_backward(normals, tangents, texture, gradient, to_normals, to_texture):
    count = normals.shape[0]
    for chunk in numba.prange((count + CHUNK - 1) // CHUNK):
        start = np.int64(chunk) * CHUNK
        for p in range(start, min(start + CHUNK, count)):
            x, y, z, bx, by, bz = _bent(normals, tangents, texture, p)
            length = np.sqrt(x * x + y * y + z * z)
            scale = ONE / max(length, SMALLEST)
            gx, gy, gz = gradient[p, 0] * scale, gradient[p, 1] * scale, gradient[p, 2] * scale
            along = (gx * x + gy * y + gz * z) * scale * scale if length > SMALLEST else np.float32(0)
            gx, gy, gz = gx - along * x, gy - along * y, gz - along * z
            tx, ty, tz = tangents[p, 0], tangents[p, 1], tangents[p, 2]
            to_texture[p, 0] = gx * tx + gy * ty + gz * tz
            to_texture[p, 1] = gx * bx + gy * by + gz * bz
            w = ONE
            if texture.shape[1] == 3:
                w = texture[p, 2]
                to_texture[p, 2] = gx * normals[p, 0] + gy * normals[p, 1] + gz * normals[p, 2]
            slope = texture[p, 1] * tangents[p, 3]  # g . (n x t) = n . (t x g)
            to_normals[p, 0] = w * gx + slope * (ty * gz - tz * gy)
            to_normals[p, 1] = w * gy + slope * (tz * gx - tx * gz)
            to_normals[p, 2] = w * gz + slope * (tx * gy - ty * gx)


class _BentNormal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, normals, tangents, texture):
        ctx.arrays = tuple(x.detach().contiguous().numpy() for x in (normals, tangents, texture))
        out = torch.empty(normals.shape)
        _bend(*ctx.arrays, out.numpy())
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        to_normals, to_texture = np.empty_like(ctx.arrays[0]), np.empty_like(ctx.arrays[2])
        _bend_backward(*ctx.arrays, gradient.contiguous().numpy(), to_normals, to_texture)
        return torch.from_numpy(to_normals), None, torch.from_numpy(to_texture)


def bent_normal(
    normals: Tensor,  # [P,3] as interpolated, not renormalised
    tangents: Tensor,  # [P,4] as interpolated, with the bitangent's sign
    texture: Tensor,  # [P,3] tangent-space normals, need not be unit; or [P,2] slopes of normals with z = 1
) -> Tensor:
    """[P,3] unit normals, differentiable in normals and texture; tangents too in the reference.

    float32 on the CPU takes the kernel, everything else `bent_normal_reference`.
    """
    tensors = (normals, tangents, texture)
    if any(x.device.type != "cpu" or x.dtype != torch.float32 for x in tensors) or tangents.requires_grad:
        return bent_normal_reference(*tensors)
    return _BentNormal.apply(*tensors)
