"""FlexiCubes in plain vectorised torch, any float type and device: the truth that the fast implementation is held to.

Source: Shen et al. 2023, Flexible Isosurface Extraction for Gradient-Based Mesh Optimization (arXiv 2308.05371).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from engine.geometry.flexicubes.extraction import OFFSET_LIMIT, WEIGHT_SCALE, Extraction, Split, check_not_empty
from engine.geometry.flexicubes.kernels_topology import WALL
from engine.geometry.flexicubes.tables import tables


def _lattice(n: int, device) -> Tensor:
    """[n^3,3] int64 positions in x, y, z order."""
    axis = torch.arange(n, device=device)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def _resolved(codes: Tensor, resolution: int, pinched_table: Tensor) -> Tensor:
    """[R,R,R] configurations, plus 256 where a cube and its neighbour both pinch the face between them."""
    pinched = pinched_table[codes]
    joins = torch.zeros_like(codes, dtype=torch.bool)
    for axis in range(3):
        low = pinched.narrow(axis, 0, resolution - 1) == 2 * axis + 1
        high = pinched.narrow(axis, 1, resolution - 1) == 2 * axis
        joins.narrow(axis, 0, resolution - 1).logical_or_(low & high)
        joins.narrow(axis, 1, resolution - 1).logical_or_(low & high)
    return codes + 256 * joins


def extract(
    sdf: Tensor,  # [(R+1)^3] cells, negative inside
    deformation: Tensor,  # [(R+1)^3,3] raw
    weights: Tensor,  # [R^3,21] raw: alpha 8, beta 12, gamma 1
    resolution: int,
    box: Tensor,  # [2,3] capture units
    split: Split,
) -> Extraction:
    """The mesh of the zero level; raises GeometryError if there is none."""
    r, n, device = resolution, resolution + 1, sdf.device
    table = tables()
    patch_table, count_table, pinched_table = (
        torch.as_tensor(t.astype("int64"), device=device) for t in (table.patch, table.patch_count, table.pinched)
    )
    edges = torch.as_tensor(table.edges, device=device)
    size = (box[1] - box[0]) / r

    lattice = _lattice(n, device)
    boundary = ((lattice == 0) | (lattice == r)).any(1)
    sdf = torch.where(boundary & (sdf < WALL), torch.full_like(sdf, WALL), sdf)
    positions = lattice.to(sdf.dtype) + OFFSET_LIMIT * torch.tanh(deformation)

    inside = (sdf < 0).reshape(n, n, n)
    codes = torch.zeros(r, r, r, dtype=torch.int64, device=device)
    for i in range(8):
        x, y, z = i & 1, i >> 1 & 1, i >> 2 & 1
        codes += inside[x : x + r, y : y + r, z : z + r].long() << i
    cells = torch.nonzero(((codes > 0) & (codes < 255)).reshape(-1)).reshape(-1)
    check_not_empty(len(cells), r)
    code = _resolved(codes, r, pinched_table).reshape(-1)[cells]  # [A]
    slot = torch.full((r**3,), -1, dtype=torch.int64, device=device)
    slot[cells] = torch.arange(len(cells), device=device)

    corner_bits = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], device=device)
    cell_position = torch.stack([cells // (r * r), cells // r % r, cells % r], 1)
    stride = torch.tensor([n * n, n, 1], device=device)
    corners = ((cell_position[:, None] + corner_bits) * stride).sum(-1)  # [A,8]

    active = weights[cells]
    alpha = 1 + WEIGHT_SCALE * torch.tanh(active[:, :8])
    beta = 1 + WEIGHT_SCALE * torch.tanh(active[:, 8:20])
    gamma = 0.5 + WEIGHT_SCALE * (torch.sigmoid(active[:, 20]) - 0.5)

    patch = patch_table[code]  # [A,12]
    counts = count_table[code]
    start = torch.cumsum(counts, 0) - counts
    vertex_count = int(counts.sum())
    owner, local = torch.nonzero(patch >= 0, as_tuple=True)  # one entry per crossing [X]
    i, j = corners[owner, edges[local, 0]], corners[owner, edges[local, 1]]
    a = sdf[i] * alpha[owner, edges[local, 0]]
    b = sdf[j] * alpha[owner, edges[local, 1]]
    crossing = (a[:, None] * positions[j] - b[:, None] * positions[i]) / (a - b)[:, None]
    vertex_of = start[owner] + patch[owner, local]
    share = beta[owner, local]

    def per_vertex(values: Tensor) -> Tensor:
        empty = torch.zeros((vertex_count, *values.shape[1:]), dtype=values.dtype, device=device)
        return empty.index_add(0, vertex_of, values)

    dual = per_vertex(share[:, None] * crossing) / per_vertex(share)[:, None]
    distance = torch.linalg.vector_norm(crossing - dual[vertex_of], dim=1)
    mean = per_vertex(distance) / per_vertex(torch.ones_like(distance))
    l_dev = (distance - mean[vertex_of]).abs().mean()

    owned = torch.nonzero(patch[:, [0, 4, 8]] >= 0)  # [Q,2] cell slot, axis: the edge from the cell's corner 0
    low, high = corners[owned[:, 0], 0], corners[owned[:, 0], 1 << owned[:, 1]]
    entropy = (softplus(sdf[low].abs()) + softplus(sdf[high].abs())).mean()

    quads, quad_cells = [], []
    cell_stride = torch.tensor([r * r, r, 1], device=device)
    for db, dc in ((0, 0), (1, 0), (1, 1), (0, 1)):
        axis = owned[:, 1]
        step = db * cell_stride[(axis + 1) % 3] + dc * cell_stride[(axis + 2) % 3]
        neighbour = slot[cells[owned[:, 0]] - step]
        quad_cells.append(neighbour)
        quads.append(start[neighbour] + patch[neighbour, 4 * axis + db + 2 * dc])
    quad, quad_cell = torch.stack(quads, 1), torch.stack(quad_cells, 1)
    reverse = (sdf[low] >= 0)[:, None]
    quad = torch.where(reverse, quad.flip(1), quad)
    quad_cell = torch.where(reverse, quad_cell.flip(1), quad_cell)

    even = gamma[quad_cell[:, 0]] * gamma[quad_cell[:, 2]]
    odd = gamma[quad_cell[:, 1]] * gamma[quad_cell[:, 3]]
    if split == "fan":
        ends = dual[quad]  # [Q,4,3]
        middle_even, middle_odd = (ends[:, 0] + ends[:, 2]) / 2, (ends[:, 1] + ends[:, 3]) / 2
        centre = (even[:, None] * middle_even + odd[:, None] * middle_odd) / (even + odd)[:, None]
        centre_index = vertex_count + torch.arange(len(quad), device=device)
        fans = [torch.stack([quad[:, k], quad[:, (k + 1) % 4], centre_index], 1) for k in range(4)]
        triangles = torch.stack(fans, 1).reshape(-1, 3)
        dual = torch.cat([dual, centre])
    else:
        rolled = torch.where((even > odd)[:, None], quad, quad.roll(-1, 1))
        triangles = torch.stack([rolled[:, [0, 1, 2]], rolled[:, [2, 3, 0]]], 1).reshape(-1, 3)
    return Extraction(
        vertices=box[0] + size * dual,
        triangles=triangles.to(torch.int32),
        l_dev=l_dev,
        entropy=entropy,
        active_corners=torch.unique(torch.cat([i, j])),
        active_cells=cells,
    )
