"""The table of a mesh's edges by a counting sort on the smaller vertex; fast, since topology changes every step."""

from __future__ import annotations

import numpy as np

from engine.kernels.settings import kernel


@kernel
def _fill(triangles, vertex_count, edges, wings, opposite):
    """Fill the table's rows and return how many there are; see `edge_table`."""
    count = triangles.shape[0]
    starts = np.zeros(vertex_count + 1, np.int32)
    for t in range(count):
        for corner in range(3):
            p, q = triangles[t, corner], triangles[t, (corner + 1) % 3]
            if p != q:
                starts[min(p, q) + 1] += 1
    for v in range(vertex_count):
        starts[v + 1] += starts[v]
    total = starts[vertex_count]
    other = np.empty(total, np.int32)  # the larger vertex
    wing = np.empty(total, np.int32)
    across = np.empty(total, np.int32)
    ends = starts.copy()
    for t in range(count):
        for corner in range(3):
            p, q, r = triangles[t, corner], triangles[t, (corner + 1) % 3], triangles[t, (corner + 2) % 3]
            if p == q:
                continue
            low, high = min(p, q), max(p, q)
            at = ends[low]
            ends[low] += 1
            while at > starts[low] and other[at - 1] > high:  # insertion keeps equal edges in triangle order
                other[at], wing[at], across[at] = other[at - 1], wing[at - 1], across[at - 1]
                at -= 1
            other[at], wing[at], across[at] = high, t, r
    rows = 0
    for v in range(vertex_count):
        at, end = starts[v], starts[v + 1]
        while at < end:
            alone = at + 1 == end or other[at + 1] != other[at]
            first = at == starts[v] or other[at - 1] != other[at]
            if not alone or first:
                edges[rows, 0], edges[rows, 1] = v, other[at]
                wings[rows, 0], opposite[rows, 0] = wing[at], across[at]
                wings[rows, 1], opposite[rows, 1] = -1, -1
                if not alone:
                    wings[rows, 1], opposite[rows, 1] = wing[at + 1], across[at + 1]
                rows += 1
            at += 1
    return rows


def edge_table(triangles: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(edges, wings, opposite), each [E,2] int32, of `triangles` [F,3] int32; see `contract.EdgeTable`."""
    most = 3 * len(triangles)
    table = np.empty((3, most, 2), np.int32)
    rows = _fill(triangles, vertex_count, table[0], table[1], table[2])
    return tuple(part[:rows] for part in table)
