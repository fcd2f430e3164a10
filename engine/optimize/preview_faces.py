"""What a preview colours by triangle: a number made visible, how well it is shaped, what its edges join."""

from __future__ import annotations

import numpy as np

from engine.raster.contract import EdgeTable

PLAIN_EDGE, BOUNDARY_EDGE, NON_MANIFOLD_EDGE = 0, 1, 2
GOOD, BAD = (0.30, 0.62, 0.55), (0.86, 0.22, 0.18)  # sRGB-encoded


def hashed_colors(count: int) -> np.ndarray:
    """[F,3] float32 sRGB-encoded, one lively colour per triangle number."""
    number = np.arange(count, dtype=np.uint32)
    number = (number ^ (number >> np.uint32(16))) * np.uint32(0x45D9F3B)
    number = (number ^ (number >> np.uint32(16))) * np.uint32(0x45D9F3B)
    number ^= number >> np.uint32(16)
    parts = np.stack([(number >> np.uint32(shift)) & np.uint32(255) for shift in (0, 8, 16)], 1)
    return (0.2 + 0.75 / 255 * parts).astype(np.float32)


def shape_quality(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[F] float32 in [0,1]: 1 is equilateral, 0 has no area (4 sqrt(3) area over the sum of squared sides)."""
    a, b, c = (np.asarray(vertices, np.float32)[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    sides = sum(((p - q) ** 2).sum(1) for p, q in ((a, b), (b, c), (c, a)))
    return np.clip(2 * np.sqrt(3) * area / np.maximum(sides, 1e-30), 0, 1).astype(np.float32)


def quality_colors(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[F,3] float32 sRGB-encoded: green where well shaped, red where thin."""
    share = shape_quality(vertices, triangles)[:, None]
    return (share * np.float32(GOOD) + (1 - share) * np.float32(BAD)).astype(np.float32)


def edge_kinds(triangles: np.ndarray, edges: EdgeTable) -> np.ndarray:
    """[F,3] uint8: what the edge from corner k to k+1 is: plain, a boundary, or shared by three triangles or more."""
    table, wings, opposite = edges.edges.numpy(), edges.wings.numpy(), edges.opposite.numpy()
    kinds = np.zeros(triangles.shape, np.uint8)
    again = np.zeros(len(table), bool)  # an edge of k > 2 triangles has k - 1 rows
    same = (table[1:] == table[:-1]).all(1)
    again[1:] |= same
    again[:-1] |= same
    for kind, rows in ((BOUNDARY_EDGE, wings[:, 1] < 0), (NON_MANIFOLD_EDGE, again)):
        for side in range(2):
            chosen = np.flatnonzero(rows & (wings[:, side] >= 0))
            face = wings[chosen, side]
            corner = (triangles[face] == opposite[chosen, side, None]).argmax(1)  # the edge begins one further
            kinds[face, (corner + 1) % 3] = kind
    return kinds
