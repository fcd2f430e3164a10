"""Loop subdivision as sparse stencils: points and normals of the limit surface as sums over a cage's vertices.

The topology is fixed, so that everything is linear in the cage: a vertex of the surface is a sum of weights times
control vertices, its two tangents are as well, and a gradient with respect to the cage is the transposed sum. Rules of
Loop (1987) with the boundary as a cubic B-spline; limit positions and tangents by the masks of Hoppe et al. 1994
("Piecewise Smooth Surface Reconstruction", appendix A).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from engine.errors import GeometryError

MOST_LEVELS = 6


@dataclass(frozen=True)
class LoopSurface:
    """The limit surface of a cage at the vertices of `levels` subdivisions; stencils as compressed rows."""

    triangles: np.ndarray  # [F 4^levels,3] int32 into the surface's vertices; those of control triangle f are together
    start: np.ndarray  # [N+1] int32 per vertex of the surface
    control: np.ndarray  # [start[N]] int32 control vertices, ascending in each row
    weights: np.ndarray  # [start[N],3] float64: position, first tangent, second tangent; tangent 1 x 2 points outward
    control_count: int
    levels: int

    @property
    def vertex_count(self) -> int:
        """The number of vertices of the surface."""
        return len(self.start) - 1

    def matrix(self, column: int = 0, dtype: type = np.float64) -> sparse.csr_matrix:
        """[N,V] of positions (0) or of one of the tangents (1, 2)."""
        weights = np.ascontiguousarray(self.weights[:, column], dtype)
        return sparse.csr_matrix((weights, self.control, self.start), (self.vertex_count, self.control_count))

    def positions(self, control: np.ndarray) -> np.ndarray:
        """[N,3] points of the surface of the cage `control` [V,3], in its type."""
        return self.matrix(0, control.dtype.type) @ control

    def normals(self, control: np.ndarray) -> np.ndarray:
        """[N,3] unit normals of the limit surface; +Z where it has none."""
        first, second = (self.matrix(column, control.dtype.type) @ control for column in (1, 2))
        normal = np.cross(first, second)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        up = np.array([0, 0, 1], normal.dtype)
        return np.where(length > 1e-20, normal / np.maximum(length, 1e-20), up)

    def gradient(self, slopes: np.ndarray) -> np.ndarray:
        """[V,3] derivative with respect to the cage of what has the derivative `slopes` [N,3] in `positions`."""
        return self.matrix(0, slopes.dtype.type).T @ slopes

    def fitted(self, points: np.ndarray, iterations: int = 20) -> np.ndarray:
        """[V,3] a cage whose limit surface passes near `points` [V,3], one for each control vertex.

        The first vertices of the surface are the control vertices' limits; each step moves the cage by what they miss.
        """
        limits = self.matrix(0, points.dtype.type)[: self.control_count]
        cage = points.copy()
        for _ in range(iterations):
            cage += points - limits @ cage
        return cage


def loop_surface(triangles: np.ndarray, vertex_count: int, levels: int) -> LoopSurface:
    """The stencils of a cage of `triangles` [F,3], subdivided `levels` times (0 to 6) and pushed to the limit.

    Raises GeometryError for edges with more than two triangles, triangles turned against their neighbours, and vertices
    at which surfaces only touch.
    """
    if not 0 <= levels <= MOST_LEVELS:
        raise GeometryError(f"a cage cannot be subdivided {levels} times; use 0 to {MOST_LEVELS}")
    triangles = np.ascontiguousarray(triangles, np.int64)
    total = sparse.identity(vertex_count, format="csr")
    rings = _Rings(triangles, vertex_count)
    for _ in range(levels):
        matrix, triangles = _subdivided(rings)
        total = matrix @ total
        rings = _Rings(triangles, total.shape[0])
    start, control, weights = _merged([mask @ total for mask in _limit_masks(rings)])
    return LoopSurface(triangles.astype(np.int32), start, control, weights, vertex_count, levels)


def subdivided_corners(triangles: np.ndarray, values: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """(triangles [F 4^levels,3] int32, values [N,C]): `values` [T,C] at corners, halved along edges.

    In the order of `loop_surface`'s triangles, for what is linear on each control triangle: texture coordinates.
    """
    triangles, values = np.asarray(triangles, np.int64), np.asarray(values)
    for _ in range(levels):
        edges, sides = _edges(triangles, len(values))
        middle = values[edges].mean(1).astype(values.dtype)
        triangles, values = _children(triangles, sides + len(values)), np.concatenate([values, middle])
    return triangles.astype(np.int32), values


def read_controls(surface: LoopSurface, smooth: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(start [F+1], control vertex) int32: the control vertices that move what a triangle of the surface shows.

    Those in the stencils of its corners, and with `smooth` (normals recomputed from the triangles around each vertex)
    of their one-rings; each once, ascending.
    """
    return read_rows(surface.triangles, surface.start, surface.control, surface.control_count, smooth)


def read_rows(
    triangles: np.ndarray,  # [F,3]
    start: np.ndarray,  # [N+1] per vertex
    row: np.ndarray,  # parameters that move it
    rows: int,
    smooth: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """(start [F+1], parameter) int32: the parameters that move the corners of each triangle, each once, ascending."""
    vertices, faces = len(start) - 1, np.arange(len(triangles)).repeat(3)
    at = sparse.csr_matrix((np.ones(triangles.size, bool), (faces, triangles.reshape(-1))), (len(triangles), vertices))
    if smooth:
        at = at @ (at.T @ at)
    moved = at @ sparse.csr_matrix((np.ones(len(row), bool), row, start), (vertices, rows))
    moved.sort_indices()
    return moved.indptr.astype(np.int32), moved.indices.astype(np.int32)


def _edges(triangles: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray]:
    """(edges [E,2], low vertex first; number of the edge from corner k to k + 1 of every triangle [F,3])."""
    ends = np.stack([triangles, np.roll(triangles, -1, 1)], -1)
    keys, inverse = np.unique(ends.min(-1) * vertex_count + ends.max(-1), return_inverse=True)
    return np.stack([keys // vertex_count, keys % vertex_count], 1), inverse.reshape(triangles.shape)


def _children(triangles: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """[4F,3]: three corners and the inner triangle of each; `middle` [F,3] lies between corners k and k + 1."""
    (a, b, c), (ab, bc, ca) = triangles.T, middle.T
    corners = np.stack([a, ab, ca, b, bc, ab, c, ca, bc, ab, bc, ca], 1)
    return corners.reshape(-1, 3)


class _Rings:
    """Every vertex's neighbours, counter-clockwise, as entries (vertex, neighbour, number in the ring)."""

    def __init__(self, triangles: np.ndarray, vertex_count: int) -> None:
        self.triangles, self.vertex_count = triangles, vertex_count
        if len(triangles) == 0:
            raise GeometryError("a cage without triangles cannot be subdivided; give one with triangles")
        self.edges, self.sides = _edges(triangles, vertex_count)
        origin, end = triangles.reshape(-1), np.roll(triangles, -1, 1).reshape(-1)
        if (origin == end).any():
            raise GeometryError("a cage's triangle has the same vertex twice; remove such triangles first")
        count = np.bincount(self.sides.reshape(-1), minlength=len(self.edges))
        if count.max() > 2:
            a, b = self.edges[count.argmax()]
            raise GeometryError(
                f"{count.max()} triangles of the cage share the edge {a}-{b}; subdivision needs one or two"
            )
        self.boundary = count == 1
        keys = origin * vertex_count + end
        order = np.argsort(keys, kind="stable")
        if (np.diff(keys[order]) == 0).any():
            raise GeometryError(
                "two triangles of the cage are turned against each other; make them all counter-clockwise"
            )
        place = np.minimum(np.searchsorted(keys[order], end * vertex_count + origin), len(keys) - 1)
        twin = np.where(keys[order][place] == end * vertex_count + origin, order[place], -1)
        self._walk(origin, end, twin)

    def _walk(self, origin: np.ndarray, end: np.ndarray, twin: np.ndarray) -> None:
        """From each vertex's first half-edge (at a boundary the one with no triangle on its right) to the last."""
        half = np.arange(len(origin))
        before = half - half % 3 + (half % 3 + 2) % 3  # of the same triangle; it leads to our origin
        first = np.full(self.vertex_count, -1)
        first[origin[::-1]] = half[::-1]
        open_ = half[twin < 0]
        first[origin[open_]] = open_
        self.is_boundary = np.zeros(self.vertex_count, bool)
        self.is_boundary[origin[open_]] = True
        valence = np.zeros(self.vertex_count, np.int64)
        vertex = np.flatnonzero(first >= 0)
        at, entries, number = first[vertex], [], 0
        while len(vertex):
            entries.append((vertex, end[at], np.full(len(vertex), number)))
            valence[vertex] += 1
            number += 1
            following = twin[before[at]]
            last = following < 0  # the boundary's other end closes the ring
            entries.append((vertex[last], origin[before[at]][last], np.full(last.sum(), number)))
            going = ~last & (following != first[vertex])
            vertex, at = vertex[going], following[going]
        self.vertex, self.neighbour, self.number = (np.concatenate(part) for part in zip(*entries, strict=True))
        faces = np.bincount(origin, minlength=self.vertex_count)
        if (faces != valence).any():
            v = int((faces != valence).argmax())
            raise GeometryError(f"parts of the cage touch in vertex {v} alone; split it into one vertex for each part")
        self.faces = faces

    @property
    def ends(self) -> np.ndarray:
        """Per entry of a boundary vertex whether it is one of the two neighbours along the boundary."""
        return self.is_boundary[self.vertex] & ((self.number == 0) | (self.number == self.faces[self.vertex]))

    def matrix(self, centre: np.ndarray, around: np.ndarray) -> sparse.csr_matrix:
        """[V,V] with `centre` [V] on the diagonal and `around` for the entries."""
        diagonal = np.arange(self.vertex_count)
        places = np.concatenate([diagonal, self.vertex]), np.concatenate([diagonal, self.neighbour])
        return sparse.csr_matrix((np.concatenate([centre, around]), places), (self.vertex_count,) * 2)


def _loop_weight(valence: np.ndarray) -> np.ndarray:
    """beta: what each neighbour of an inner vertex weighs in its new place (Loop 1987)."""
    valence = np.maximum(valence, 3)
    return (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / valence)) ** 2) / valence


def _subdivided(rings: _Rings) -> tuple[sparse.csr_matrix, np.ndarray]:
    """(matrix [V+E,V] of one subdivision, its triangles [4F,3])."""
    count, faces = rings.vertex_count, rings.faces
    inner = ~rings.is_boundary
    beta = np.where(faces > 0, _loop_weight(faces), 0.0)
    centre = np.where(inner, 1 - faces * beta, 0.75)
    around = np.where(inner[rings.vertex], beta[rings.vertex], 0.125 * rings.ends)
    edges, side = rings.edges, rings.sides.reshape(-1)
    opposite = np.roll(rings.triangles, -2, 1).reshape(-1)
    numbers = np.arange(len(edges))
    wings = ~rings.boundary[side]
    ends = np.where(rings.boundary, 0.5, 0.375)
    rows = np.concatenate([numbers, numbers, side[wings]])
    columns = np.concatenate([edges[:, 0], edges[:, 1], opposite[wings]])
    values = np.concatenate([ends, ends, np.full(wings.sum(), 0.125)])
    between = sparse.csr_matrix((values, (rows, columns)), (len(edges), count))
    children = _children(rings.triangles, rings.sides + count)
    return sparse.vstack([rings.matrix(centre, around), between], format="csr"), children


def _limit_masks(rings: _Rings) -> tuple[sparse.csr_matrix, sparse.csr_matrix, sparse.csr_matrix]:
    """[V,V] masks of the limit position and of two tangents, whose cross product points outward."""
    faces, inner, vertex, number = rings.faces, ~rings.is_boundary, rings.vertex, rings.number
    valence = np.maximum(faces, 1)
    share = 1 / (0.375 / _loop_weight(faces) + faces)
    centre = np.where(inner, np.where(faces > 0, 1 - faces * share, 1.0), 2 / 3)
    around = np.where(inner[vertex], share[vertex], rings.ends / 6)
    nothing = np.zeros(rings.vertex_count)
    turn = 2 * np.pi * number / valence[vertex]
    along = np.where(number == 0, 1.0, -1.0) * rings.ends
    # Into the surface from its boundary; two triangles: toward the neighbour between them, one: between its two.
    angle = np.pi / valence[vertex]
    many = np.where(rings.ends, -np.sin(angle), (2 - 2 * np.cos(angle)) * np.sin(number * angle))
    inward = np.where(faces[vertex] == 1, 1.0, np.where(faces[vertex] == 2, 1.0 * ~rings.ends, many))
    inward_centre = np.where(inner, 0.0, np.where(faces == 1, -2.0, np.where(faces == 2, -1.0, 0.0)))
    return (
        rings.matrix(centre, around),
        rings.matrix(nothing, np.where(inner[vertex], np.cos(turn), along)),
        rings.matrix(inward_centre, np.where(inner[vertex], np.sin(turn), inward)),
    )


def _merged(matrices: list[sparse.csr_matrix]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start [N+1], column, weights [K,M]) of M matrices on the union of their entries; entries that are 0 fall out."""
    rows, columns = matrices[0].shape
    parts = [matrix.tocoo() for matrix in matrices]
    keys = np.concatenate([part.row.astype(np.int64) * columns + part.col for part in parts])
    kept, inverse = np.unique(keys, return_inverse=True)
    weights = np.zeros((len(kept), len(parts)))
    number = np.repeat(np.arange(len(parts)), [part.nnz for part in parts])
    np.add.at(weights, (inverse.reshape(-1), number), np.concatenate([part.data for part in parts]))
    solid = np.abs(weights).max(1) > 1e-15
    kept, weights = kept[solid], weights[solid]
    start = np.concatenate([[0], np.cumsum(np.bincount(kept // columns, minlength=rows))])
    return start.astype(np.int32), (kept % columns).astype(np.int32), weights
