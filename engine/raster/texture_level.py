"""The mip level of each covered pixel, from the analytic screen derivatives of its texture coordinate."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from engine.kernels.settings import parallel_kernel
from engine.raster.contract import VisibilityBuffer

CHUNK = 1024


@parallel_kernel
def _levels(clip, triangles, uvs, uv_triangles, pixel, triangle, height, width, texture_height, texture_width, out):
    count = pixel.shape[0]
    half_w = 0.5 * width
    half_h = 0.5 * height
    for chunk in numba.prange((count + CHUNK - 1) // CHUNK):
        start = np.int64(chunk) * CHUNK
        for p in range(start, min(start + CHUNK, count)):
            t = triangle[p]
            px = np.float64(pixel[p] % width) + 0.5
            py = np.float64(pixel[p] // width) + 0.5
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wa, wb, wc = np.float64(clip[a, 3]), np.float64(clip[b, 3]), np.float64(clip[c, 3])
            xa, xb, xc = (clip[a, 0] + wa) * half_w, (clip[b, 0] + wb) * half_w, (clip[c, 0] + wc) * half_w
            ya, yb, yc = (clip[a, 1] + wa) * half_h, (clip[b, 1] + wb) * half_h, (clip[c, 1] + wc) * half_h
            # Homogeneous edge functions e_i = g_i . (px, py, 1) (Olano and Greer 1997): the weights are e_i / sum e.
            ax, ay, ac = yb * wc - yc * wb, wb * xc - wc * xb, xb * yc - xc * yb
            bx, by, bc = yc * wa - ya * wc, wc * xa - wa * xc, xc * ya - xa * yc
            cx, cy, cc = ya * wb - yb * wa, wa * xb - wb * xa, xa * yb - xb * ya
            ea = ax * px + ay * py + ac
            eb = bx * px + by * py + bc
            ec = cx * px + cy * py + cc
            total = ea + eb + ec
            inverse = 1.0 / total if total != 0.0 else 0.0
            ua, ub, uc = uv_triangles[t, 0], uv_triangles[t, 1], uv_triangles[t, 2]
            along_x = 0.0
            along_y = 0.0
            for axis in range(2):
                scale = np.float64(texture_width if axis == 0 else texture_height)
                va, vb, vc = scale * uvs[ua, axis], scale * uvs[ub, axis], scale * uvs[uc, axis]
                value = (ea * va + eb * vb + ec * vc) * inverse
                dx = (ax * (va - value) + bx * (vb - value) + cx * (vc - value)) * inverse
                dy = (ay * (va - value) + by * (vb - value) + cy * (vc - value)) * inverse
                along_x += dx * dx
                along_y += dy * dy
            squared = max(along_x, along_y)
            out[p] = np.float32(0.5 * np.log2(squared)) if squared > 1.0 else np.float32(0.0)


def _levels_reference(clip, triangles, uvs, uv_triangles, pixel, triangle, size, texture_size) -> Tensor:
    height, width = size
    half = clip.new_tensor([0.5 * width, 0.5 * height])
    corners = clip[triangles[triangle].long()]  # [P,3,4]
    w = corners[..., 3]
    xyw = torch.cat([(corners[..., :2] + w[..., None]) * half, w[..., None]], -1)
    edges = torch.stack([torch.linalg.cross(xyw[:, (i + 1) % 3], xyw[:, (i + 2) % 3]) for i in range(3)], 1)  # [P,3,3]
    point = torch.stack([pixel % width + 0.5, pixel // width + 0.5, torch.ones_like(pixel)], -1).to(clip.dtype)
    weights = (edges * point[:, None]).sum(-1)  # [P,3]
    total = weights.sum(-1)
    inverse = torch.where(total != 0, 1 / total, 0.0)[:, None]
    texels = uvs[uv_triangles[triangle].long()] * uvs.new_tensor([texture_size[1], texture_size[0]])  # [P,3,2]
    value = (weights[..., None] * texels).sum(1) * inverse
    slope = torch.einsum("pka,pkb->pab", edges[..., :2], texels - value[:, None]) * inverse[..., None]  # [P,xy,uv]
    squared = slope.square().sum(-1).amax(-1)
    return 0.5 * torch.log2(squared.clamp(min=1.0))


@torch.no_grad()
def texture_level(
    clip: Tensor,  # [V,4] clip positions
    triangles: Tensor,  # [F,3] int32
    uvs: Tensor,  # [T,2] in [0,1]
    uv_triangles: Tensor,  # [F,3] int32 into uvs
    buffer: VisibilityBuffer,
    size: tuple[int, int],  # (height, width) of the image
    texture_size: tuple[int, int],  # (height, width) of level 0
) -> Tensor:  # [P] float32
    """The mip level at which a texel is about a pixel wide, along the wider of the footprint's two image axes.

    At least 0; no gradient. Numba on CPU, torch in float64 elsewhere.
    """
    if clip.device.type != "cpu":
        arrays = clip.double(), triangles, uvs.double(), uv_triangles, buffer.pixel, buffer.triangle.long()
        return _levels_reference(*arrays, size, texture_size).float()
    out = torch.empty(len(buffer.pixel), dtype=torch.float32)
    tensors = (clip, triangles, uvs, uv_triangles, buffer.pixel, buffer.triangle)
    arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
    _levels(*arrays, size[0], size[1], texture_size[0], texture_size[1], out.numpy())
    return out
