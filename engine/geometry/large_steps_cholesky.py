"""Sparse Cholesky factorization of I + lambda L for triangle meshes, in numba: factored once per topology.

Scalar up-looking factorization (Davis 2006, Direct Methods for Sparse Linear Systems, chapter 4) in an order found by
nested dissection of the vertices' positions. Serial, so the same bits whatever the thread count.
"""

from __future__ import annotations

import math

import numpy as np

from engine.kernels.settings import kernel

LEAF = 24  # parts of fewer vertices are not cut further


@kernel
def neighbour_table(edges, vertex_count):
    """(start [V+1], neighbour [2E]) of the undirected edges [E,2], each given once."""
    start = np.zeros(vertex_count + 1, np.int64)
    for e in range(edges.shape[0]):
        start[edges[e, 0] + 1] += 1
        start[edges[e, 1] + 1] += 1
    for v in range(vertex_count):
        start[v + 1] += start[v]
    fill = start.copy()
    neighbour = np.empty(2 * edges.shape[0], np.int64)
    for e in range(edges.shape[0]):
        a, b = edges[e, 0], edges[e, 1]
        neighbour[fill[a]] = b
        neighbour[fill[b]] = a
        fill[a] += 1
        fill[b] += 1
    return start, neighbour


def dissection_order(positions: np.ndarray, start: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """[V] int64 vertices in elimination order: halves along the longest axis first, the vertices between them last."""
    side = np.full(len(positions), -1, np.int64)
    parts: list[np.ndarray] = []  # in reverse
    todo = [np.arange(len(positions))]
    while todo:
        part = todo.pop()
        if len(part) <= LEAF:
            parts.append(part)
            continue
        points = positions[part]
        axis = int(np.argmax(points.max(0) - points.min(0)))
        ranked = part[np.argsort(points[:, axis], kind="stable")]
        low, high = ranked[: len(part) // 2], ranked[len(part) // 2 :]
        side[low], side[high] = 0, 1
        between = _touching(low, side, start, neighbour)
        parts.append(low[between])
        todo += [low[~between], high]
        side[part] = -1
    return np.concatenate(parts[::-1])


@kernel
def _touching(part, side, start, neighbour):
    found = np.zeros(part.shape[0], np.bool_)
    for i in range(part.shape[0]):
        for k in range(start[part[i]], start[part[i] + 1]):
            found[i] |= side[neighbour[k]] == 1
    return found


@kernel
def _reach(k, start, neighbour, parent, mark, stack):
    """The columns of row k of the factor, stack[top:], in an order in which they may be eliminated; returns top."""
    top = stack.shape[0]
    mark[k] = k
    for p in range(start[k], start[k + 1]):
        i = neighbour[p]
        if i < k:
            length = 0
            while mark[i] != k:
                stack[length] = i  # the path grows in the free lower part
                length += 1
                mark[i] = k
                i = parent[i]
            while length > 0:
                length -= 1
                top -= 1
                stack[top] = stack[length]
    return top


@kernel
def factor(start, neighbour, smoothness):
    """Columns of the lower factor of I + smoothness * L: (column start [V+1], row [N] int32, value [N] float64).

    The first entry of a column is its diagonal, stored as its reciprocal.
    """
    n = start.shape[0] - 1
    parent = np.full(n, -1, np.int64)
    ancestor = np.full(n, -1, np.int64)
    for k in range(n):
        for p in range(start[k], start[k + 1]):
            i = neighbour[p]
            while i != -1 and i < k:
                above = ancestor[i]
                ancestor[i] = k
                if above == -1:
                    parent[i] = k
                i = above
    mark = np.full(n, -1, np.int64)
    stack = np.empty(n, np.int64)
    column = np.zeros(n + 1, np.int64)
    for k in range(n):
        column[k + 1] += 1
        for p in range(_reach(k, start, neighbour, parent, mark, stack), n):
            column[stack[p] + 1] += 1
    for k in range(n):
        column[k + 1] += column[k]
    row = np.empty(column[n], np.int32)
    value = np.empty(column[n], np.float64)
    fill = column[:-1].copy()
    mark[:] = -1
    x = np.zeros(n, np.float64)
    for k in range(n):
        top = _reach(k, start, neighbour, parent, mark, stack)
        for p in range(start[k], start[k + 1]):
            if neighbour[p] < k:
                x[neighbour[p]] = -smoothness
        d = 1.0 + smoothness * (start[k + 1] - start[k])
        for s in range(top, n):
            i = stack[s]
            entry = x[i] * value[column[i]]
            x[i] = 0.0
            for p in range(column[i] + 1, fill[i]):
                x[row[p]] -= value[p] * entry
            d -= entry * entry
            row[fill[i]] = k
            value[fill[i]] = entry
            fill[i] += 1
        row[fill[k]] = k
        value[fill[k]] = 1.0 / math.sqrt(d)
        fill[k] += 1
    return column, row, value


@kernel
def solve(column, row, value, order, right, out):
    """out [V,3] = (I + smoothness * L)^-1 right [V,3]; float32 in and out, float64 between."""
    n = order.shape[0]
    x = np.empty((n, 3), np.float64)
    for k in range(n):
        for c in range(3):
            x[k, c] = right[order[k], c]
    for k in range(n):
        inverse = value[column[k]]
        x0, x1, x2 = x[k, 0] * inverse, x[k, 1] * inverse, x[k, 2] * inverse
        x[k, 0], x[k, 1], x[k, 2] = x0, x1, x2
        for p in range(column[k] + 1, column[k + 1]):
            i, v = row[p], value[p]
            x[i, 0] -= v * x0
            x[i, 1] -= v * x1
            x[i, 2] -= v * x2
    for back in range(n):
        k = n - 1 - back
        x0, x1, x2 = x[k, 0], x[k, 1], x[k, 2]
        for p in range(column[k] + 1, column[k + 1]):
            i, v = row[p], value[p]
            x0 -= v * x[i, 0]
            x1 -= v * x[i, 1]
            x2 -= v * x[i, 2]
        inverse = value[column[k]]
        x[k, 0], x[k, 1], x[k, 2] = x0 * inverse, x1 * inverse, x2 * inverse
        vertex = order[k]
        out[vertex, 0], out[vertex, 1], out[vertex, 2] = x[k, 0], x[k, 1], x[k, 2]
