"""Which crossed edges of a cube share a dual vertex: look-up tables generated from the cube's geometry.

A corner is numbered by its bits (x + 2 y + 4 z). Edge 4 a + k runs along axis a; k's two bits say where it lies on the
axes a+1 and a+2. A configuration is the byte whose bit i says that corner i is inside.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


def _edges() -> list[tuple[int, int]]:
    edges = []
    for axis in range(3):
        for k in range(4):
            low = ((k & 1) << (axis + 1) % 3) | ((k >> 1) << (axis + 2) % 3)
            edges.append((low, low | 1 << axis))
    return edges


def _faces() -> list[list[int]]:
    """The corners of face 2 axis + side, in cyclic order."""
    faces = []
    for axis in range(3):
        b, c = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        for side in range(2):
            base = side << axis
            faces.append([base, base | b, base | b | c, base | c])
    return faces


EDGES = _edges()  # 12 pairs (low corner, high corner)
FACES = _faces()  # 6 cycles of four corners
_EDGE_BETWEEN = {frozenset(pair): index for index, pair in enumerate(EDGES)}


def crossed_edges(configuration: int) -> list[int]:
    """The edges of a cube whose two corners lie on different sides."""
    return [e for e, (i, j) in enumerate(EDGES) if (configuration >> i & 1) != (configuration >> j & 1)]


def ambiguous_faces(configuration: int) -> list[int]:
    """The faces whose corners alternate, so that two curves cross them."""
    inside = [[configuration >> corner & 1 for corner in face] for face in FACES]
    return [f for f, bits in enumerate(inside) if bits[0] == bits[2] != bits[1] == bits[3]]


def face_segments(configuration: int, face: int, join_inside: bool) -> list[tuple[int, int]]:
    """Pairs of crossed edges connected on `face`; an ambiguous face joins its inside corners or keeps them apart."""
    corners = FACES[face]
    inside = [configuration >> corner & 1 for corner in corners]
    around = [_EDGE_BETWEEN[frozenset((corners[k], corners[(k + 1) % 4]))] for k in range(4)]
    crossed = [around[k] for k in range(4) if inside[k] != inside[(k + 1) % 4]]
    if len(crossed) < 4:
        return [(crossed[0], crossed[1])] if crossed else []
    cut_off = [k for k in range(4) if inside[k] != join_inside]  # the corners that a curve separates
    return [(around[(k - 1) % 4], around[k]) for k in cut_off]


def patches(configuration: int, joined_faces: frozenset[int] = frozenset()) -> list[int]:
    """For each of the 12 edges the number of its patch, -1 where it is not crossed.

    A patch is one closed curve on the cube's surface; every one gets a dual vertex (Nielson 2004, Dual marching
    cubes). Inside corners of an ambiguous face are kept apart unless the face is in `joined_faces`.
    """
    parent = list(range(12))

    def root(edge: int) -> int:
        while parent[edge] != edge:
            edge = parent[edge]
        return edge

    for face in range(6):
        for a, b in face_segments(configuration, face, face in joined_faces):
            parent[root(a)] = root(b)
    crossed = crossed_edges(configuration)
    numbers = {r: n for n, r in enumerate(dict.fromkeys(root(e) for e in crossed))}
    return [numbers[root(e)] if e in crossed else -1 for e in range(12)]


def pinched_face(configuration: int) -> int:
    """The ambiguous face whose four crossings fall into one patch, -1 if there is none.

    Two cubes that share such a face would share one mesh edge twice (cases C16 and C19 of Wenger's Isosurfaces), so
    both then join the inside corners there instead. No configuration has two such faces.
    """
    patch = patches(configuration)
    for face in ambiguous_faces(configuration):
        crossed = {e for segment in face_segments(configuration, face, False) for e in segment}
        if len({patch[e] for e in crossed}) == 1:
            return face
    return -1


@dataclass(frozen=True)
class Tables:
    """Indexed by the resolved configuration: 0..255, plus 256 where the pinched face joins its inside corners."""

    patch: np.ndarray  # [512,12] int8, patch of each edge, -1: not crossed
    patch_count: np.ndarray  # [512] int8
    pinched: np.ndarray  # [256] int8, face 0..5 or -1
    edges: np.ndarray  # [12,2] int64, low and high corner


@functools.cache
def tables() -> Tables:
    """The tables of all configurations, made once (about 20 ms)."""
    pinched = np.array([pinched_face(c) for c in range(256)], np.int8)
    rows = [patches(c) for c in range(256)]
    rows += [patches(c, frozenset([int(pinched[c])]) if pinched[c] >= 0 else frozenset()) for c in range(256)]
    patch = np.array(rows, np.int8)
    return Tables(patch, patch.max(axis=1) + np.int8(1), pinched, np.array(EDGES, np.int64))
