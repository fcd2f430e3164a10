"""FlexiCubes on numba kernels behind autograd: dense gradients, computed and touched at the surface only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.geometry.flexicubes import kernels_topology as topology
from engine.geometry.flexicubes import kernels_values as values_of
from engine.geometry.flexicubes.extraction import OFFSET_LIMIT, WEIGHT_SCALE, Extraction, Split, check_not_empty
from engine.geometry.flexicubes.gradient_pool import GradientPool
from engine.geometry.flexicubes.tables import tables

WALL, LIMIT, SCALE = np.float32(topology.WALL), np.float32(OFFSET_LIMIT), np.float32(WEIGHT_SCALE)


class _Topology:
    """The crossed cells of one field, their dual vertices and quads; everything but positions."""

    def __init__(self, sdf: np.ndarray, resolution: int):
        r, n = resolution, resolution + 1
        self.resolution = r
        self.table = table = tables()
        self.inside = np.empty(n**3, np.uint8)
        filled = np.empty((n, n), np.int32)
        topology.corner_sides(sdf, r, self.inside, filled)
        self.codes = np.empty(r**3, np.uint8)
        counts = np.empty(r, np.int64)
        topology.cell_codes(self.inside, filled, r, self.codes, counts)
        starts = np.concatenate([[0], np.cumsum(counts)])
        check_not_empty(int(starts[-1]), r)
        self.cells = np.empty(starts[-1], np.int64)
        topology.compact(self.codes, r * r, starts, True, self.cells)

        flags, counts = np.empty(n**3, np.uint8), np.empty(n, np.int64)
        topology.crossed_corner_flags(self.inside, filled, r, flags, counts)
        starts = np.concatenate([[0], np.cumsum(counts)])
        self.corners = np.empty(starts[-1], np.int64)
        topology.compact(flags, n * n, starts, False, self.corners)

        active = len(self.cells)
        self.slot = np.empty(r**3, np.int32)
        self.resolved = np.empty(active, np.int32)
        vertex_counts, quad_counts = np.empty(active, np.int32), np.empty(active, np.int32)
        topology.resolve(
            self.cells, self.codes, r, table.pinched, table.patch_count, table.patch, self.resolved, self.slot,
            vertex_counts, quad_counts,
        )  # fmt: skip
        self.vertex_start, self.quad_start = np.empty(active + 1, np.int32), np.empty(active + 1, np.int32)
        topology.running_starts(vertex_counts, self.vertex_start)
        topology.running_starts(quad_counts, self.quad_start)
        self.vertex_count, self.quad_count = int(self.vertex_start[-1]), int(self.quad_start[-1])
        self.quads = np.empty((self.quad_count, 4), np.int32)
        self.quad_cells = np.empty((self.quad_count, 4), np.int32)
        topology.quad_corners(
            self.cells, self.resolved, r, self.slot, table.patch, self.vertex_start, self.quad_start, self.quads,
            self.quad_cells,
        )  # fmt: skip


class _Surface(torch.autograd.Function):
    """(sdf, deformation, weights) -> vertices, L_dev, entropy; the topology is found inside and given to `found`."""

    @staticmethod
    def forward(ctx, sdf, deformation, weights, resolution, origin, size, fan, pool, found):
        sdf_, deformation_, weights_ = (t.detach().contiguous().numpy() for t in (sdf, deformation, weights))
        topo = _Topology(sdf_, resolution)
        table, r, active = topo.table, resolution, len(topo.cells)
        values = np.empty(((r + 1) ** 3, 4), np.float32)
        values_of.corner_values(topo.corners, r, WALL, LIMIT, sdf_, deformation_, values)
        activated = np.empty((active, 21), np.float32)
        vertices = np.empty((topo.vertex_count + (topo.quad_count if fan else 0), 3), np.float32)
        deviation, crossings = np.empty(active, np.float64), np.empty(active, np.int64)
        values_of.dual_vertices(
            topo.cells, topo.resolved, r, table.edges, table.patch, table.patch_count, values, weights_, SCALE,
            topo.vertex_start, origin, size, activated, vertices, deviation, crossings,
        )  # fmt: skip
        gamma = activated[:, 20].copy()
        if fan:
            values_of.quad_centres(topo.quads, topo.quad_cells, gamma, topo.vertex_count, vertices)
        entropy = np.empty(active, np.float64)
        values_of.edge_entropy(topo.cells, topo.resolved, r, values, table.patch, entropy)
        triangles = np.empty((topo.quad_count * (4 if fan else 2), 3), np.int32)
        topology.quad_triangles(topo.quads, topo.quad_cells, gamma, fan, topo.vertex_count, triangles)
        found["topology"], found["triangles"] = topo, triangles
        ctx.topo, ctx.values, ctx.activated, ctx.gamma, ctx.vertices = topo, values, activated, gamma, vertices
        ctx.size, ctx.fan, ctx.crossings, ctx.sdf = size, fan, int(crossings.sum()), sdf_
        ctx.pool, ctx.shapes = pool, [tuple(t.shape) for t in (sdf, deformation, weights)]
        l_dev = torch.tensor(deviation.sum() / ctx.crossings, dtype=torch.float32)
        # a copy: the caller may change the tensor it gets, the backward pass needs these
        return torch.from_numpy(vertices.copy()), l_dev, torch.tensor(entropy.sum() / topo.quad_count).float()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, vertex_grad, deviation_grad, entropy_grad):
        topo, table = ctx.topo, ctx.topo.table
        r, active, fan = topo.resolution, len(topo.cells), ctx.fan
        vertex_grad = vertex_grad.contiguous().numpy()
        centre_grad = vertex_grad[topo.vertex_count :]
        share = np.empty(topo.quad_count if fan else 0, np.float32)
        share_grad = np.empty_like(share)
        if fan:
            values_of.quad_centre_gradients(
                topo.quads, topo.quad_cells, ctx.gamma, ctx.vertices, centre_grad, share, share_grad
            )
        corner_grad = np.empty((active, 8, 4), np.float32)
        sdf_grad, offset_grad, weight_grad = (
            ctx.pool.zeros(shape, rows)
            for shape, rows in zip(ctx.shapes, (topo.corners, topo.corners, topo.cells), strict=True)
        )
        values_of.cell_gradients(
            topo.cells, topo.resolved, r, topo.slot, table.edges, table.patch, table.patch_count, ctx.values,
            ctx.activated, SCALE, topo.vertex_start, topo.quad_start, ctx.size, vertex_grad, fan, centre_grad, share,
            share_grad, np.float32(float(deviation_grad) / ctx.crossings), corner_grad, weight_grad.numpy(),
        )  # fmt: skip
        values_of.corner_gradients(
            topo.corners, r, WALL, LIMIT, ctx.sdf, ctx.values, topo.inside, topo.codes, topo.slot, corner_grad,
            np.float32(float(entropy_grad) / topo.quad_count), sdf_grad.numpy(), offset_grad.numpy(),
        )  # fmt: skip
        gradients = (sdf_grad, offset_grad, weight_grad)
        kept = (g if need else None for g, need in zip(gradients, ctx.needs_input_grad[:3], strict=True))
        return (*kept, None, None, None, None, None, None)


def extract(
    sdf: Tensor,  # [(R+1)^3] float32 CPU, cells
    deformation: Tensor,  # [(R+1)^3,3] raw
    weights: Tensor,  # [R^3,21] raw
    resolution: int,
    box: Tensor,  # [2,3] capture units
    split: Split,
    pool: GradientPool,
) -> Extraction:
    """The mesh of the zero level; raises GeometryError if there is none. Same result as reference.extract."""
    corners = box.detach().numpy().astype(np.float64)
    origin = corners[0].astype(np.float32)
    size = ((corners[1] - corners[0]) / resolution).astype(np.float32)
    found: dict = {}
    vertices, l_dev, entropy = _Surface.apply(
        sdf, deformation, weights, resolution, origin, size, split == "fan", pool, found
    )
    topo = found["topology"]
    return Extraction(
        vertices,
        torch.from_numpy(found["triangles"]),
        l_dev,
        entropy,
        torch.from_numpy(topo.corners),
        torch.from_numpy(topo.cells),
    )
