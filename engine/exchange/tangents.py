"""Tangents compatible with MikkTSpace, the tangent space that normal maps are baked and read in everywhere.

From the definition of the algorithm (Mikkelsen 2008, "Simulation of Wrinkled Surfaces Revisited", and the reference
implementation's grouping rules): every triangle has one unit tangent from its texture coordinates; a corner's tangent
is the angle-weighted mean, projected to the plane of the corner's normal, over the corner's fan: the triangles reached
around the vertex across shared edges with the same position, normal and texture coordinate at both ends and the same
handedness. The bitangent is sign * cross(normal, tangent), with normal and tangent interpolated and not renormalised.

Where it is not equal to the reference: triangles without area in the texture, whose tangent there depends on the order
in which fans are walked.

glTF's +Y of a normal map points up in the image, which is toward smaller v, so everything here runs on (u, 1 - v).
"""

from __future__ import annotations

import numpy as np

from engine.kernels.settings import exact_kernel
from engine.scene.mesh import Mesh

_TINY = 1.1754944e-38  # the smallest normal float32, MikkTSpace's zero


class TangentSpace:
    """The fans of a mesh with texture coordinates: found once, then cheap to evaluate as the vertices move.

    `triangles` [F,3] int32 indexes the rows of what `tangents` returns, one row per fan.
    """

    triangles: np.ndarray
    count: int

    def __init__(self, triangles: np.ndarray, uvs: np.ndarray, uv_triangles: np.ndarray):
        self._position = np.ascontiguousarray(triangles, np.int32)
        unique, uv_index = np.unique(np.asarray(uvs, np.float32), axis=0, return_inverse=True)
        self._uv = np.ascontiguousarray(uv_index.reshape(-1)[uv_triangles], np.int64)  # equal coordinates, equal index
        flipped = unique.astype(np.float64) * [1, -1] + [0, 1]
        corner = flipped[self._uv]  # [F,3,2]
        self._edge_uv = np.ascontiguousarray(corner[:, 1:] - corner[:, :1])  # [F,2,2]
        area = self._edge_uv[:, 0, 0] * self._edge_uv[:, 1, 1] - self._edge_uv[:, 0, 1] * self._edge_uv[:, 1, 0]
        handedness = np.where(np.abs(area) <= _TINY, 0, np.sign(area)).astype(np.int64)
        key = self._position.astype(np.int64) * len(unique) + self._uv
        _, welded = np.unique(key, return_inverse=True)
        fans, handedness = _fans(welded.reshape(-1, 3), handedness)
        _, rows = np.unique(fans, return_inverse=True)
        self.triangles = rows.reshape(-1, 3).astype(np.int32)
        self.count = int(self.triangles.max()) + 1 if len(self.triangles) else 0
        self._sign = np.zeros(self.count)
        self._sign[self.triangles.reshape(-1)] = np.repeat(np.where(handedness < 0, -1.0, 1.0), 3)

    def tangents(self, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """[T,4] float32 unit tangents and signs, from vertices [V,3] and their unit normals [V,3].

        Where the texture coordinates give no direction, some tangent at right angles to the normal is returned.
        """
        total = _fan_sums(
            np.ascontiguousarray(vertices, np.float64),
            np.ascontiguousarray(normals, np.float64),
            self._position,
            self.triangles,
            self._edge_uv,
            self.count,
        )
        length = np.linalg.norm(total, axis=1, keepdims=True)
        normal = np.zeros((self.count, 3))
        normal[self.triangles.reshape(-1)] = np.asarray(normals, float)[self._position.reshape(-1)]
        fallback = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal), axis=1)])
        fallback /= np.maximum(np.linalg.norm(fallback, axis=1, keepdims=True), 1e-20)
        tangent = np.where(length > 1e-20, total / np.maximum(length, 1e-20), fallback)
        return np.concatenate([tangent, self._sign[:, None]], 1).astype(np.float32)


def tangent_attributes(mesh: Mesh, normals: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(tangents [T,4] float32, tangent_triangles [F,3] int32 into them) of a mesh with texture coordinates.

    `normals` [V,3] defaults to `mesh.vertex_normals()`. The fourth component is the bitangent's sign. Vertices equal in
    position and normal count as one, as they do for whoever reads the exported file.
    """
    if mesh.uvs is None or mesh.uv_triangles is None:
        raise ValueError("tangents need texture coordinates")
    normals = mesh.vertex_normals() if normals is None else np.asarray(normals, np.float32)
    points = np.asarray(mesh.vertices, np.float32)
    _, first, index = np.unique(np.concatenate([points, normals], 1), axis=0, return_index=True, return_inverse=True)
    space = TangentSpace(index.reshape(-1)[mesh.triangles], mesh.uvs, mesh.uv_triangles)
    return space.tangents(points[first], normals[first]), space.triangles


@exact_kernel
def _root(parent, item):
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@exact_kernel
def _join_fans(order, low, high, forward, neighbour, handedness, parent):
    """Pair half-edges of equal ends and opposite direction, then join the corners of like-handed neighbours."""
    count = len(order)
    start = 0
    while start < count:
        stop = start + 1
        while stop < count and low[order[stop]] == low[order[start]] and high[order[stop]] == high[order[start]]:
            stop += 1
        for i in range(start, stop):
            a = order[i]
            if neighbour[a] >= 0:
                continue
            for j in range(i + 1, stop):
                b = order[j]
                if neighbour[b] < 0 and forward[a] != forward[b] and a // 3 != b // 3:
                    neighbour[a], neighbour[b] = b, a
                    break
        start = stop
    # Triangles without texture area take the handedness of the first neighbour that has one.
    changed = True
    while changed:
        changed = False
        for edge in range(count):
            if handedness[edge // 3] == 0 and neighbour[edge] >= 0 and handedness[neighbour[edge] // 3] != 0:
                handedness[edge // 3] = handedness[neighbour[edge] // 3]
                changed = True
    for edge in range(count):
        other = neighbour[edge]
        if other < 0 or handedness[edge // 3] != handedness[other // 3]:
            continue
        face, corner = edge // 3, edge % 3
        other_face, other_corner = other // 3, other % 3
        # the edge's start is the other edge's end
        a, b = _root(parent, edge), _root(parent, other_face * 3 + (other_corner + 1) % 3)
        parent[max(a, b)] = min(a, b)
        a, b = _root(parent, face * 3 + (corner + 1) % 3), _root(parent, other)
        parent[max(a, b)] = min(a, b)
    for corner in range(count):
        parent[corner] = _root(parent, corner)


def _fans(welded: np.ndarray, handedness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fan of each corner [3F], handedness [F]) of triangles given by welded vertices [F,3]."""
    start, end = welded.reshape(-1), np.roll(welded, -1, axis=1).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.lexsort((np.arange(len(low)), high, low))
    parent = np.arange(len(low), dtype=np.int64)
    handedness = handedness.copy()
    _join_fans(order, low, high, start < end, np.full(len(low), -1, np.int64), handedness, parent)
    return parent, handedness


@exact_kernel
def _fan_sums(vertices, normals, triangles, rows, edge_uv, count):
    """[T,3] the angle-weighted sum of each fan's projected unit tangents."""
    total = np.zeros((count, 3))
    edge = np.empty((2, 3))
    tangent = np.empty(3)
    for face in range(len(triangles)):
        t21x, t21y = edge_uv[face, 0, 0], edge_uv[face, 0, 1]
        t31x, t31y = edge_uv[face, 1, 0], edge_uv[face, 1, 1]
        area = t21x * t31y - t21y * t31x
        if abs(area) <= _TINY:
            continue
        for axis in range(3):
            origin = vertices[triangles[face, 0], axis]
            edge1 = vertices[triangles[face, 1], axis] - origin
            edge2 = vertices[triangles[face, 2], axis] - origin
            tangent[axis] = (t31y * edge1 - t21y * edge2) * (1.0 if area > 0 else -1.0)
        for corner in range(3):
            here = triangles[face, corner]
            normal = normals[here]
            along = tangent[0] * normal[0] + tangent[1] * normal[1] + tangent[2] * normal[2]
            lengths = np.zeros(3)
            projections = np.zeros(2)
            for side in range(2):
                there = triangles[face, (corner + 1 + side) % 3]
                for axis in range(3):
                    edge[side, axis] = vertices[there, axis] - vertices[here, axis]
                    projections[side] += edge[side, axis] * normal[axis]
            dot = 0.0
            for axis in range(3):
                a = edge[0, axis] - projections[0] * normal[axis]
                b = edge[1, axis] - projections[1] * normal[axis]
                c = tangent[axis] - along * normal[axis]
                lengths[0] += a * a
                lengths[1] += b * b
                lengths[2] += c * c
                dot += a * b
            if lengths[0] <= _TINY or lengths[1] <= _TINY or lengths[2] <= _TINY:
                continue
            cosine = min(1.0, max(-1.0, dot / np.sqrt(lengths[0] * lengths[1])))
            weight = np.arccos(cosine) / np.sqrt(lengths[2])
            for axis in range(3):
                total[rows[face, corner], axis] += weight * (tangent[axis] - along * normal[axis])
    return total
