"""The table of a mesh's edges in plain torch; see `contract.EdgeTable`."""

from __future__ import annotations

import torch
from torch import Tensor


def edge_table_reference(triangles: Tensor, vertex_count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(edges, wings, opposite), each [E,2] int32, of `triangles` [F,3], on its device."""
    corners = triangles.long()
    ends = torch.stack([corners, corners.roll(-1, 1)], -1).reshape(-1, 2)  # [3F,2], in triangle order
    across = corners.roll(-2, 1).reshape(-1)
    owner = torch.arange(len(corners), device=corners.device).repeat_interleave(3)
    proper = ends[:, 0] != ends[:, 1]
    ends, across, owner = ends[proper], across[proper], owner[proper]
    key = ends.amin(1) * vertex_count + ends.amax(1)
    key, order = torch.sort(key, stable=True)
    across, owner = across[order], owner[order]
    same_as_next = torch.zeros_like(key, dtype=torch.bool)
    same_as_next[:-1] = key[1:] == key[:-1]
    same_as_last = same_as_next.roll(1)
    row = torch.nonzero(same_as_next | ~same_as_last)[:, 0]  # one per pair, or a boundary's single triangle
    paired = same_as_next[row]
    following = torch.where(paired, row + 1, row)
    edges = torch.stack([key[row] // vertex_count, key[row] % vertex_count], -1)
    wings = torch.stack([owner[row], torch.where(paired, owner[following], -1)], -1)
    opposite = torch.stack([across[row], torch.where(paired, across[following], -1)], -1)
    return edges.int(), wings.int(), opposite.int()
