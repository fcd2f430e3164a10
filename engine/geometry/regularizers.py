"""Smoothness of a mesh as differentiable scalars: normals across edges, and vertices against their neighbours.

float32 on the CPU takes serial numba kernels, whose sums have one order whatever the thread count; everything else the
plain torch references. Gradients reach the vertices only.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.kernels.settings import kernel

TINY = 1e-20  # twice the area, squared capture units, below which a triangle has no normal


class Edges(Protocol):
    """What is read of an edge table (engine.raster.contract.EdgeTable has it)."""

    edges: Tensor  # [E,2] int32 vertices
    wings: Tensor  # [E,2] int32 triangles at the edge, -1 = none


def normal_consistency(vertices: Tensor, triangles: Tensor, edges: Edges) -> Tensor:
    """Mean of 1 - cos(angle between the normals) over the edges with two triangles; 0 where there are none.

    vertices [V,3], triangles [F,3] int32. A triangle without area counts as perpendicular and has no gradient. The
    gradient at a thin triangle grows with the inverse of its height.
    """
    if vertices.is_cuda or vertices.dtype != torch.float32:
        return normal_consistency_reference(vertices, triangles, edges)
    return _NormalConsistency.apply(vertices, triangles, edges.wings)


def normal_consistency_reference(vertices: Tensor, triangles: Tensor, edges: Edges) -> Tensor:
    """`normal_consistency` in plain torch, any float type and device."""
    a, b, c = (vertices[triangles[:, k].long()] for k in range(3))
    cross = torch.linalg.cross(b - a, c - a)
    square = cross.square().sum(1, keepdim=True)
    solid = square > TINY**2
    normal = torch.where(solid, cross * torch.where(solid, square, 1.0).rsqrt(), 0.0)
    wings = edges.wings[(edges.wings >= 0).all(1)].long()
    if len(wings) == 0:
        return vertices.sum() * 0
    return (1 - (normal[wings[:, 0]] * normal[wings[:, 1]]).sum(1)).mean()


def laplacian_smoothness(vertices: Tensor, edges: Edges) -> Tensor:
    """Mean over vertices of the squared distance to the neighbours' mean, capture units squared; loose ones give 0."""
    if vertices.is_cuda or vertices.dtype != torch.float32:
        return laplacian_smoothness_reference(vertices, edges)
    return _LaplacianSmoothness.apply(vertices, edges.edges)


def laplacian_smoothness_reference(vertices: Tensor, edges: Edges) -> Tensor:
    """`laplacian_smoothness` in plain torch, any float type and device."""
    i, j = edges.edges[:, 0].long(), edges.edges[:, 1].long()
    total = torch.zeros_like(vertices).index_add(0, i, vertices[j]).index_add(0, j, vertices[i])
    one = torch.ones_like(vertices[i, :1])
    degree = torch.zeros_like(vertices[:, :1]).index_add(0, i, one).index_add(0, j, one)
    return torch.where(degree > 0, vertices - total / degree.clamp_min(1), 0.0).square().sum(1).mean()


@kernel
def _unit_normals(vertices, triangles, normal, inverse):
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = np.float64(uy * vz - uz * vy), np.float64(uz * vx - ux * vz), np.float64(ux * vy - uy * vx)
        length = math.sqrt(x * x + y * y + z * z)
        scale = 1.0 / length if length > TINY else 0.0
        inverse[f] = scale
        normal[f, 0], normal[f, 1], normal[f, 2] = x * scale, y * scale, z * scale


@kernel
def _consistency(normal, wings):
    total, count = 0.0, 0
    for e in range(wings.shape[0]):
        a, b = wings[e, 0], wings[e, 1]
        if a >= 0 and b >= 0:
            cosine = normal[a, 0] * normal[b, 0] + normal[a, 1] * normal[b, 1] + normal[a, 2] * normal[b, 2]
            total += 1.0 - np.float64(cosine)
            count += 1
    return total, count


@kernel
def _consistency_backward(vertices, triangles, wings, normal, inverse, factor, gradient):
    normal_gradient = np.zeros(normal.shape, np.float32)
    for e in range(wings.shape[0]):
        a, b = wings[e, 0], wings[e, 1]
        if a >= 0 and b >= 0:
            for k in range(3):
                normal_gradient[a, k] -= factor * normal[b, k]
                normal_gradient[b, k] -= factor * normal[a, k]
    for f in range(triangles.shape[0]):
        nx, ny, nz = normal[f, 0], normal[f, 1], normal[f, 2]
        gx, gy, gz = normal_gradient[f, 0], normal_gradient[f, 1], normal_gradient[f, 2]
        along, s = nx * gx + ny * gy + nz * gz, inverse[f]
        gx, gy, gz = s * (gx - along * nx), s * (gy - along * ny), s * (gz - along * nz)
        for k in range(3):  # d(cross)/d(corner) applied to g is the opposite edge times g
            v, i, j = triangles[f, k], triangles[f, (k + 1) % 3], triangles[f, (k + 2) % 3]
            ex, ey, ez = (
                vertices[i, 0] - vertices[j, 0],
                vertices[i, 1] - vertices[j, 1],
                vertices[i, 2] - vertices[j, 2],
            )
            gradient[v, 0] += ey * gz - ez * gy
            gradient[v, 1] += ez * gx - ex * gz
            gradient[v, 2] += ex * gy - ey * gx


class _NormalConsistency(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vertices, triangles, wings):
        v, t, w = (x.detach().contiguous().numpy() for x in (vertices, triangles, wings))
        normal, inverse = np.empty((len(t), 3), np.float32), np.empty(len(t), np.float32)
        _unit_normals(v, t, normal, inverse)
        total, count = _consistency(normal, w)
        ctx.saved, ctx.count = (v, t, w, normal, inverse), count
        return torch.tensor(total / max(count, 1), dtype=torch.float32)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        gradient = np.zeros_like(ctx.saved[0])
        _consistency_backward(*ctx.saved, np.float32(float(grad) / max(ctx.count, 1)), gradient)
        return torch.from_numpy(gradient), None, None


@kernel
def _laplacian(values, edges, degree, out):
    """out = values - mean of the neighbours' values, 0 for loose vertices; also counts the degrees."""
    degree[:] = 0
    out[:] = 0
    for e in range(edges.shape[0]):
        i, j = edges[e, 0], edges[e, 1]
        degree[i] += 1
        degree[j] += 1
        for k in range(3):
            out[i, k] += values[j, k]
            out[j, k] += values[i, k]
    total = 0.0
    for v in range(values.shape[0]):
        for k in range(3):
            out[v, k] = values[v, k] - out[v, k] / degree[v] if degree[v] > 0 else np.float32(0)
            total += np.float64(out[v, k]) * out[v, k]
    return total


@kernel
def _laplacian_backward(delta, edges, degree, factor, gradient):
    for v in range(delta.shape[0]):
        for k in range(3):
            gradient[v, k] = factor * delta[v, k]
    for e in range(edges.shape[0]):
        i, j = edges[e, 0], edges[e, 1]
        for k in range(3):
            gradient[i, k] -= factor * delta[j, k] / degree[j]
            gradient[j, k] -= factor * delta[i, k] / degree[i]


class _LaplacianSmoothness(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vertices, edges):
        v, e = vertices.detach().contiguous().numpy(), edges.contiguous().numpy()
        delta, degree = np.empty_like(v), np.empty(len(v), np.float32)
        total = _laplacian(v, e, degree, delta)
        ctx.saved = delta, e, degree
        return torch.tensor(total / max(len(v), 1), dtype=torch.float32)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        delta, edges, degree = ctx.saved
        gradient = np.empty_like(delta)
        _laplacian_backward(delta, edges, degree, np.float32(2 * float(grad) / max(len(delta), 1)), gradient)
        return torch.from_numpy(gradient), None
