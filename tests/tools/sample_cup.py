"""The cup of the sample capture: its signed distance, the surface extracted from it, and its painted materials."""

from __future__ import annotations

import numpy as np

from engine.scene.conventions import srgb_to_linear

CELLS_PER_UNIT = 84
BOX = np.array([[-0.62, -0.62, -0.56], [0.92, 0.62, 0.54]])

# --- the shape ------------------------------------------------------------------------------------------------------

OUTSIDE = [(0, -0.5), (0.15, -0.5), (0.29, -0.5), (0.30, -0.46), (0.24, -0.39), (0.27, -0.32), (0.40, -0.2),
           (0.475, -0.03), (0.47, 0.14), (0.42, 0.27), (0.42, 0.34), (0.47, 0.43), (0.47, 0.455)]  # fmt: skip
INSIDE = [(0, -0.16), (0.12, -0.155), (0.22, -0.12), (0.30, -0.03), (0.345, 0.1), (0.345, 0.24), (0.36, 0.33),
          (0.42, 0.45), (0.44, 0.48), (0.46, 0.62), (0.0, 0.62)]  # fmt: skip


def smooth_curve(points: list[tuple[float, float]], steps: int) -> np.ndarray:
    """[N,2] Catmull-Rom curve through `points`."""
    p = np.array([points[0], *points, points[-1]], float)
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, p[-1:]])


def polygon_distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """[N] signed distance (negative inside) of `points` [N,2] to a closed polygon [M,2]."""
    best = np.full(len(points), np.inf)
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        edge, offset = b - a, points - a
        if not edge.any():
            continue
        t = np.clip(offset @ edge / (edge @ edge), 0, 1)
        best = np.minimum(best, ((offset - t[:, None] * edge) ** 2).sum(1))
        crossing = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        if a[1] != b[1]:
            inside ^= crossing & (points[:, 0] < a[0] + (points[:, 1] - a[1]) / edge[1] * edge[0])
    return np.sqrt(best) * np.where(inside, -1, 1)


def smooth_union(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Union of two distances with a fillet of `radius`."""
    h = np.maximum(radius - np.abs(a - b), 0) / radius
    return np.minimum(a, b) - h * h * radius / 4


OUTSIDE_POLYGON = np.concatenate([smooth_curve(OUTSIDE, 8), [[-0.2, 0.455], [-0.2, -0.5]]])
INSIDE_POLYGON = np.concatenate([smooth_curve(INSIDE, 8), [[-0.2, 0.62], [-0.2, -0.16]]])
DENTS = np.radians([95.0, 180.0, 265.0])


def parts(points: np.ndarray) -> dict[str, np.ndarray]:
    """Signed distance [N] of each part at `points` [N,3]."""
    x, y, z = points.T
    profile = np.stack([np.hypot(x, y), z], -1)
    ring = np.hypot((x - 0.50) / 1.0, (z - 0.05) / 1.0)  # loop in the xz plane
    return {
        "outside": polygon_distance(profile, OUTSIDE_POLYGON) - 0.01,
        "cavity": polygon_distance(profile, INSIDE_POLYGON),
        "band": np.hypot(profile[:, 0] - 0.425, (z - 0.30) / 1.25) - 0.036,
        "handle": np.hypot(ring - 0.25, y / 1.25) - 0.05,
        "knob": np.sqrt(x**2 + y**2 + (z + 0.15) ** 2) - 0.105,
        "dents": np.min(
            [np.sqrt((x - 0.58 * np.cos(a)) ** 2 + (y - 0.58 * np.sin(a)) ** 2 + (z - 0.03) ** 2) for a in DENTS], 0
        )
        - 0.19,
    }


def distance(points: np.ndarray) -> np.ndarray:
    """[N] signed distance of the whole object, negative inside."""
    d = parts(points)
    body = -smooth_union(-d["outside"], d["dents"], 0.02)
    solid = smooth_union(smooth_union(body, d["handle"], 0.04), d["band"], 0.015)
    hollow = -smooth_union(-solid, d["cavity"], 0.02)
    return smooth_union(hollow, d["knob"], 0.02)


def surface_nets(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [V,3] in grid units, triangles [F,3]) of the zero set of `values` [X,Y,Z]."""
    inside = values < 0
    n = np.array(values.shape) - 1
    corners = [np.array(c) for c in np.ndindex(2, 2, 2)]

    def at(array: np.ndarray, corner: np.ndarray) -> np.ndarray:
        return array[tuple(slice(c, c + m) for c, m in zip(corner, n, strict=True))]

    count = sum(at(inside, c).astype(int) for c in corners)
    mixed = (count > 0) & (count < 8)
    index = np.full(mixed.shape, -1)
    index[mixed] = np.arange(mixed.sum())
    total, hits = np.zeros((mixed.sum(), 3)), np.zeros(mixed.sum())
    for a in corners:
        for axis in range(3):
            if a[axis]:
                continue
            b = a + np.eye(3, dtype=int)[axis]
            fa, fb = at(values, a)[mixed], at(values, b)[mixed]
            cross = (fa < 0) != (fb < 0)
            t = fa / np.where(cross, fa - fb, 1)
            total += np.where(cross[:, None], a + t[:, None] * (b - a), 0)
            hits += cross
    vertices = np.argwhere(mixed) + total / hits[:, None]
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = [slice(1, -1)] * 3
        low[axis] = slice(0, -1)
        high = list(low)
        high[axis] = slice(1, None)
        starts, ends = inside[tuple(low)], inside[tuple(high)]
        for flip, where in ((False, starts & ~ends), (True, ~starts & ends)):
            cell = np.argwhere(where) + np.array([0 if i == axis else 1 for i in range(3)])
            du, dv = np.eye(3, dtype=int)[u], np.eye(3, dtype=int)[v]
            quad = np.stack([index[tuple((cell - s).T)] for s in (du + dv, dv, 0 * du, du)], 1)
            quads.append(quad[:, ::-1] if flip else quad)
    quads = np.concatenate(quads)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def build_mesh() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices [V,3], unit normals [V,3], triangles [F,3]) of the object in the capture's frame."""
    shape = np.ceil((BOX[1] - BOX[0]) * CELLS_PER_UNIT).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(m) for m in shape), indexing="ij"), -1).reshape(-1, 3)
    points = BOX[0] + grid / CELLS_PER_UNIT
    values = np.concatenate([distance(chunk) for chunk in np.array_split(points, 64)]).reshape(shape)
    vertices, triangles = surface_nets(values)
    vertices = BOX[0] + vertices / CELLS_PER_UNIT

    def gradient(p: np.ndarray) -> np.ndarray:
        step = 5e-4 * np.eye(3)
        return np.stack([(distance(p + s) - distance(p - s)) / 1e-3 for s in step], -1)

    for _ in range(3):  # onto the surface itself
        g = gradient(vertices)
        move = distance(vertices)[:, None] * g / np.maximum((g * g).sum(1, keepdims=True), 0.25)
        vertices = vertices - np.clip(move, -0.3 / CELLS_PER_UNIT, 0.3 / CELLS_PER_UNIT)
    normals = gradient(vertices)
    return vertices, normals / np.linalg.norm(normals, axis=1, keepdims=True), triangles


# --- the materials --------------------------------------------------------------------------------------------------


def paint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(linear base colour [N,3], roughness [N], metallic [N]) at surface `points` [N,3]."""
    d = parts(points)
    x, y, z = points.T
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    color = np.empty((len(points), 3))
    roughness, metallic = np.full(len(points), 0.28), np.zeros(len(points))

    def put(where: np.ndarray, srgb: tuple[int, int, int], rough: float, metal: float = 0.0) -> None:
        color[where] = srgb_to_linear(np.array(srgb, float) / 255)
        roughness[where], metallic[where] = rough, metal

    put(np.ones(len(points), bool), (226, 214, 190), 0.28)  # cream glaze
    wave = 0.055 * np.sin(8 * angle)
    put((np.abs(z - 0.03 - wave) < 0.03) | (np.abs(z - 0.03 + wave) < 0.018), (28, 110, 120), 0.2)
    leaf = np.hypot((np.mod(angle * 8 / np.pi, 2) - 1) * 0.8, (z - 0.185) / 0.034)
    put(leaf < 0.55, (196, 84, 48), 0.35)
    put((z > -0.235) & (z < -0.2), (28, 110, 120), 0.2)
    checks = (np.mod(angle * 16 / np.pi, 2) < 1) ^ (z > -0.275)
    put((z < -0.235) & checks & (z > -0.315), (120, 44, 50), 0.35)
    put(d["dents"] < 0.008, (34, 62, 148), 0.15)  # cobalt dents
    put(z < -0.335, (164, 92, 62), 0.9)  # unglazed foot
    put((z < -0.335) & (np.abs(z + 0.39) < 0.014), (96, 50, 36), 0.9)
    inside = d["cavity"] < 0.012
    put(inside, (170, 206, 186), 0.4)  # mint inside
    petals = 0.245 + 0.065 * np.cos(9 * angle)
    put(inside & (radius < petals), (222, 170, 62), 0.5)
    put(inside & (radius < petals - 0.05), (138, 52, 60), 0.5)
    put(inside & (np.abs(z - 0.2) < 0.022), (40, 90, 100), 0.3)
    put(inside & (np.abs(z - 0.12) < 0.018) & (np.mod(angle * 12 / np.pi, 2) < 1), (40, 90, 100), 0.3)
    put(d["handle"] < np.minimum(d["outside"], np.abs(d["outside"])) - 0.004, (70, 46, 40), 0.75)  # leather handle
    stripes = (d["handle"] < d["outside"] - 0.004) & (np.mod(np.arctan2(z - 0.05, x - 0.5) * 10 / np.pi, 2) < 0.7)
    put(stripes, (170, 128, 84), 0.75)
    put((d["band"] < 0.004) & ~inside & (d["band"] < d["handle"]), (236, 190, 110), 0.27, 1.0)  # brass
    put((d["knob"] < 0.004), (226, 150, 120), 0.35, 1.0)  # copper
    return color, roughness, metallic
