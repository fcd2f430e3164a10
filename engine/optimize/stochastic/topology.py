"""Tables of a mesh that the loop's shaders walk: compressed rows of uint32, offsets first and then the entries."""

from __future__ import annotations

import numpy as np

from engine.geometry.large_steps import unique_edges
from engine.raster.stochastic.vertex_credit import Stencils


def compressed(row: np.ndarray, value: np.ndarray, rows: int) -> np.ndarray:
    """uint32: `rows` + 1 offsets, then `value` [N] or [N,C] sorted by `row` [N], stable."""
    order = np.argsort(row, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return np.concatenate([start, value[order].reshape(-1)]).astype(np.uint32)


def rings(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    """Per vertex its incident triangles as pairs (next, previous vertex), in the order of the triangles."""
    t = np.asarray(triangles, np.int64)
    pairs = np.stack([np.roll(t, -1, 1), np.roll(t, 1, 1)], -1)
    return compressed(t.reshape(-1), pairs.reshape(-1, 2), vertex_count)


def neighbours(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    """Per vertex the vertices that it shares an edge with, ascending."""
    edges = unique_edges(triangles, vertex_count)
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    return compressed(both[:, 0], both[:, 1], vertex_count)


def degrees(neighbour_table: np.ndarray, vertex_count: int) -> np.ndarray:
    """[V] number of neighbours."""
    return np.diff(neighbour_table[: vertex_count + 1].astype(np.int64))


def read_tables(triangles: np.ndarray, vertex_count: int, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    """(per triangle the vertices that its shading reads, ascending; per vertex the triangles that read it)."""
    make = Stencils.smooth if smooth else Stencils.flat
    stencils = make(triangles, vertex_count)
    triangle = np.repeat(np.arange(len(triangles)), np.diff(stencils.start))
    order = np.lexsort((stencils.vertex, triangle))
    vertex = stencils.vertex[order].astype(np.int64)
    forward = np.concatenate([stencils.start, vertex]).astype(np.uint32)
    return forward, compressed(vertex, triangle, vertex_count)


def corner_table(
    triangles: np.ndarray,  # [F,3]
    uvs: np.ndarray | None,  # [T,2]
    uv_triangles: np.ndarray | None,  # [F,3]
    tangent_triangles: np.ndarray | None,  # [F,3]
) -> np.ndarray:
    """[F,3,4] uint32: vertex, bits of u and v, tangent."""
    table = np.zeros((len(triangles), 3, 4), np.uint32)
    table[..., 0] = triangles
    if uvs is not None and uv_triangles is not None:
        table[..., 1:3] = np.ascontiguousarray(uvs, np.float32).view(np.uint32)[uv_triangles]
    if tangent_triangles is not None:
        table[..., 3] = tangent_triangles
    return table
