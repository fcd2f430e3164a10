"""Smooth vertex normals of a triangle mesh, differentiable with respect to its vertices."""

from __future__ import annotations

import numpy as np
import torch
from numba import prange
from torch import Tensor

from engine.kernels.settings import kernel, parallel_kernel


@kernel
def _corners_by_vertex(triangles, vertex_count):
    """Offsets [V+1] and, vertex by vertex, the flat corner indices 3 f + k of `triangles` [F,3] (a counting sort)."""
    offset = np.zeros(vertex_count + 1, np.int64)
    for f in range(triangles.shape[0]):
        for k in range(3):
            offset[triangles[f, k] + 1] += 1
    for v in range(vertex_count):
        offset[v + 1] += offset[v]
    place = offset[:-1].copy()
    corner = np.empty(triangles.size, np.int64)
    for f in range(triangles.shape[0]):
        for k in range(3):
            v = triangles[f, k]
            corner[place[v]] = 3 * f + k
            place[v] += 1
    return offset, corner


@parallel_kernel
def _face_normals(vertices, triangles):
    face = np.empty((triangles.shape[0], 3), np.float32)
    for index in prange(triangles.shape[0]):
        f = np.int64(index)
        a, b, c = vertices[triangles[f, 0]], vertices[triangles[f, 1]], vertices[triangles[f, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        face[f, 0] = uy * vz - uz * vy
        face[f, 1] = uz * vx - ux * vz
        face[f, 2] = ux * vy - uy * vx
    return face


@parallel_kernel
def _gather_normalised(face, offset, corner):
    count = offset.shape[0] - 1
    normal = np.empty((count, 3), np.float32)
    length = np.empty(count, np.float32)
    for index in prange(count):
        v = np.int64(index)
        x, y, z = 0.0, 0.0, 0.0
        for slot in range(offset[v], offset[v + 1]):
            f = corner[slot] // 3
            x += face[f, 0]
            y += face[f, 1]
            z += face[f, 2]
        norm = np.sqrt(x * x + y * y + z * z)
        length[v] = norm
        if norm > 1e-20:
            normal[v, 0], normal[v, 1], normal[v, 2] = x / norm, y / norm, z / norm
        else:
            normal[v, 0], normal[v, 1], normal[v, 2] = 0.0, 0.0, 1.0
    return normal, length


@parallel_kernel
def _backward(grad_normal, normal, length, vertices, triangles, offset, corner):
    """dL/dvertices: through the normalisation, the sum over a vertex's faces, and each face's cross product."""
    count = vertices.shape[0]
    grad_sum = np.empty((count, 3), np.float32)
    for index in prange(count):
        v = np.int64(index)
        if length[v] > 1e-20:
            g, n = grad_normal[v], normal[v]
            along = g[0] * n[0] + g[1] * n[1] + g[2] * n[2]
            for k in range(3):
                grad_sum[v, k] = (g[k] - along * n[k]) / length[v]
        else:
            grad_sum[v, 0], grad_sum[v, 1], grad_sum[v, 2] = 0.0, 0.0, 0.0
    grad_vertices = np.empty((count, 3), np.float32)
    for index in prange(count):
        v = np.int64(index)
        x, y, z = 0.0, 0.0, 0.0
        for slot in range(offset[v], offset[v + 1]):
            f, k = corner[slot] // 3, corner[slot] % 3
            i, j = triangles[f, (k + 1) % 3], triangles[f, (k + 2) % 3]
            t = triangles[f]
            gx = grad_sum[t[0], 0] + grad_sum[t[1], 0] + grad_sum[t[2], 0]
            gy = grad_sum[t[0], 1] + grad_sum[t[1], 1] + grad_sum[t[2], 1]
            gz = grad_sum[t[0], 2] + grad_sum[t[1], 2] + grad_sum[t[2], 2]
            # d(cross)/d(corner k) applied to g is (p_next - p_last) x g: the opposite edge times g.
            ex, ey, ez = (
                vertices[i, 0] - vertices[j, 0],
                vertices[i, 1] - vertices[j, 1],
                vertices[i, 2] - vertices[j, 2],
            )
            x += ey * gz - ez * gy
            y += ez * gx - ex * gz
            z += ex * gy - ey * gx
        grad_vertices[v, 0], grad_vertices[v, 1], grad_vertices[v, 2] = x, y, z
    return grad_vertices


class _VertexNormals(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vertices: Tensor, triangles: Tensor) -> Tensor:
        v, t = vertices.detach().contiguous().numpy(), triangles.contiguous().numpy()
        offset, corner = _corners_by_vertex(t, len(v))
        normal, length = _gather_normalised(_face_normals(v, t), offset, corner)
        ctx.saved = (normal, length, v, t, offset, corner)
        return torch.from_numpy(normal)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return torch.from_numpy(_backward(grad.contiguous().numpy(), *ctx.saved)), None


def vertex_normals_reference(vertices: Tensor, triangles: Tensor) -> Tensor:
    """[V,3] unit normals, area-weighted over the triangles at each vertex; plain torch, any dtype and device."""
    a, b, c = (vertices[triangles[:, k].long()] for k in range(3))
    face = torch.cross(b - a, c - a, dim=1)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(0, triangles[:, k].long(), face)
    length = total.norm(dim=1, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=vertices.dtype, device=vertices.device)
    return torch.where(length > 1e-20, total / length.clamp_min(1e-20), up)


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """[V,3] unit normals of `vertices` [V,3] float32 and `triangles` [F,3] int32, area-weighted; +Z where undefined.

    Differentiable with respect to the vertices; deterministic whatever the thread count.
    """
    if vertices.is_cuda or vertices.dtype != torch.float32:
        return vertex_normals_reference(vertices, triangles)
    return _VertexNormals.apply(vertices, triangles)
