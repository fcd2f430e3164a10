"""How triangles hang together: counts of bad edges and vertices, components, splitting what is not manifold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class HalfEdges:
    """The 3F directed edges of a mesh (half-edge 3f+k runs from corner k of face f to the next), sorted into edges."""

    start: np.ndarray  # [3F] int64 vertex
    end: np.ndarray  # [3F] int64 vertex
    order: np.ndarray  # [3F] half-edges such that those of one edge follow one another, by index within an edge
    first: np.ndarray  # [E+1] where each edge begins in `order`

    @property
    def uses(self) -> np.ndarray:
        """[E] number of faces at each edge."""
        return np.diff(self.first)

    @staticmethod
    def from_triangles(triangles: np.ndarray) -> HalfEdges:
        """The half-edges of triangles [F,3]."""
        start = triangles.astype(np.int64).reshape(-1)
        end = np.roll(triangles, -1, axis=1).astype(np.int64).reshape(-1)
        key = np.minimum(start, end) * (int(triangles.max(initial=0)) + 1) + np.maximum(start, end)
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]])) if len(key) else np.zeros(1, int)
        return HalfEdges(start, end, order, first)


@dataclass(frozen=True)
class Topology:
    """What keeps a mesh from being a closed, oriented surface; all zero for one that is."""

    boundary_edges: int  # with one face
    non_manifold_edges: int  # with more than two
    flipped_edges: int  # with two faces that run the same way
    non_manifold_vertices: int  # where faces meet in more than one fan

    @property
    def manifold(self) -> bool:
        """Whether every edge has one or two faces and every vertex one fan."""
        return self.non_manifold_edges == 0 and self.non_manifold_vertices == 0

    @property
    def watertight(self) -> bool:
        """Whether every edge has exactly two faces, oriented alike."""
        return self.boundary_edges == 0 and self.non_manifold_edges == 0 and self.flipped_edges == 0

    @staticmethod
    def of(triangles: np.ndarray) -> Topology:
        """Counts for triangles [F,3]."""
        edges = HalfEdges.from_triangles(triangles)
        uses = edges.uses
        pair = edges.first[:-1][uses == 2]
        one, two = edges.order[pair], edges.order[np.minimum(pair + 1, len(edges.order) - 1)]
        return Topology(
            boundary_edges=int((uses == 1).sum()),
            non_manifold_edges=int((uses > 2).sum()),
            flipped_edges=int((edges.start[one] == edges.start[two]).sum()),
            non_manifold_vertices=_vertices_with_many_fans(triangles, edges),
        )


def _vertices_with_many_fans(triangles: np.ndarray, edges: HalfEdges) -> int:
    """Number of vertices whose corners do not all hang together through edges of two faces."""
    fans = connected_corners(triangles, _simple_pairs(edges))
    count = int(fans.max(initial=0)) + 1
    pairs = np.unique(triangles.reshape(-1).astype(np.int64) * count + fans)
    return int((np.bincount(pairs // count) > 1).sum())


def _simple_pairs(edges: HalfEdges) -> np.ndarray:
    """[N,2] the two half-edges of every edge that has exactly two."""
    first = edges.first[:-1][edges.uses == 2]
    return np.stack([edges.order[first], edges.order[first + 1]], 1) if len(first) else np.zeros((0, 2), np.int64)


def connected_corners(triangles: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """[3F] the fan of each corner (3f+k): corners of a vertex are joined across paired half-edges [N,2]."""
    corners = triangles.reshape(-1)
    count = len(corners)

    def after(half_edge):
        return half_edge - half_edge % 3 + (half_edge + 1) % 3

    one, two = pairs[:, 0], pairs[:, 1]
    opposed = corners[one] != corners[two]  # the usual case: one runs from a to b, the other from b to a
    joined_one = np.concatenate([one, after(one)])
    joined_two = np.concatenate([np.where(opposed, after(two), two), np.where(opposed, two, after(two))])
    graph = coo_matrix((np.ones(len(joined_one), np.int8), (joined_one, joined_two)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def components(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    """[F] component of each triangle, joined through vertices; numbered from 0 by first appearance."""
    start, end = triangles[:, :2].T, triangles[:, 1:].T
    rows, columns = start.reshape(-1), end.reshape(-1)
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(vertex_count, vertex_count))
    label = connected_components(graph, directed=False)[1][triangles[:, 0]]
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _wedge_pairs(vertices: np.ndarray, edges: HalfEdges, edge: int) -> list[tuple[int, int]]:
    """Pairs of an edge's half-edges that bound one wedge of solid, so that solids which only touch there come apart."""
    found = edges.order[edges.first[edge] : edges.first[edge + 1]]
    a, b = sorted((int(edges.start[found[0]]), int(edges.end[found[0]])))
    axis = vertices[b] - vertices[a]
    axis = axis / max(np.linalg.norm(axis), 1e-30)
    side = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    side /= np.linalg.norm(side)
    up = np.cross(axis, side)
    tip = vertices[edges.end[found - found % 3 + (found + 1) % 3]] - vertices[a]
    angle = np.arctan2(tip @ up, tip @ side)
    forward = edges.start[found] == a
    free = [int(i) for i in np.lexsort((found, angle))]
    pairs = []
    # The outside of a face running a to b lies at larger angles: its solid reaches back to the face before it.
    while True:
        for position, later in enumerate(free):
            earlier = free[position - 1]
            if forward[later] and not forward[earlier] and earlier != later:
                pairs.append((int(found[earlier]), int(found[later])))
                free = [i for i in free if i not in (earlier, later)]
                break
        else:
            return pairs


def split_non_manifold(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V',3] and triangles [F,3] in which every fan of faces has a vertex of its own.

    Sheets that touch in a vertex or an edge come apart there without moving; faces and their order stay. Vertices
    that no triangle uses are dropped. Edges at which one fan passes twice cannot be mended so and stay as they are.
    """
    edges = HalfEdges.from_triangles(triangles)
    pairs = [_simple_pairs(edges)]
    for edge in np.flatnonzero(edges.uses > 2):
        pairs.append(np.array(_wedge_pairs(vertices, edges, int(edge)), np.int64).reshape(-1, 2))
    fan = connected_corners(triangles, np.concatenate(pairs))
    corners = triangles.reshape(-1)
    _, first, inverse = np.unique(fan, return_index=True, return_inverse=True)
    # Number the new vertices by old vertex, then by first corner.
    order = np.lexsort((first, corners[first]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return vertices[corners[first[order]]], rank[inverse].reshape(-1, 3).astype(np.int32)


def clean_faces(triangles: np.ndarray) -> np.ndarray:
    """[F] bool: the faces to keep, without those that repeat a vertex, copies, and pairs that lie back to back."""
    a, b, c = triangles.T
    keep = (a != b) & (b != c) & (c != a)
    ordered = np.sort(triangles, axis=1)
    even = ((a < b).astype(int) + (b < c) + (c < a)) == 2  # an even permutation of the sorted corners
    _, group = np.unique(ordered[keep], axis=0, return_inverse=True)
    if len(group) == 0:
        return keep
    index = np.flatnonzero(keep)
    sizes = np.bincount(group)
    for number in np.flatnonzero(sizes > 1):
        members = index[group == number]
        positive, negative = members[even[members]], members[~even[members]]
        keep[members] = False
        if len(positive) != len(negative):
            keep[(positive if len(positive) > len(negative) else negative)[0]] = True
    return keep
