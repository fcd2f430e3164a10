"""The surface under each texel of an unwrapped mesh, and the filling of the gutters between charts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import GeometryError
from engine.kernels.settings import kernel
from engine.scene.mesh import Mesh


@dataclass(frozen=True)
class SurfaceTexels:
    """The T texels that a look-up on the surface can touch, in row-major order, and the surface point of each."""

    size: tuple[int, int]  # (height, width)
    texel: np.ndarray  # [T] int64 flat row-major index, ascending
    triangle: np.ndarray  # [T] int32
    barycentrics: np.ndarray  # [T,2] float32 weights of vertex 0 and 1, on the triangle
    positions: np.ndarray  # [T,3] float32, capture units
    normals: np.ndarray  # [T,3] float32, unit, interpolated vertex normals

    @property
    def filled(self) -> np.ndarray:
        """[H,W] bool: texels that lie on a chart or within its reach."""
        mask = np.zeros(self.size[0] * self.size[1], bool)
        mask[self.texel] = True
        return mask.reshape(self.size)

    def interpolate(self, corners: np.ndarray) -> np.ndarray:
        """[T,C] values at the texels of what is given per corner of each triangle, [F,3,C]."""
        u, v = self.barycentrics.T
        weights = np.stack([u, v, 1 - u - v], 1)
        return np.einsum("tk,tkc->tc", weights, corners[self.triangle]).astype(np.float32)

    def image(self, values: np.ndarray, background: float = 0.0) -> np.ndarray:
        """[H,W,C] float32 texture with the texels' values [T,C] and the background elsewhere."""
        image = np.full((self.size[0] * self.size[1], values.shape[1]), background, np.float32)
        image[self.texel] = values
        return image.reshape(*self.size, -1)


@kernel
def _nearest_on_triangle(px, py, ax, ay, bx, by, cx, cy):
    """(squared distance, weights of a and b) of the triangle's point nearest to p; works for either winding."""
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area != 0.0:
        wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
        wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
        if wa >= 0.0 and wb >= 0.0 and wa + wb <= 1.0:
            return 0.0, wa, wb
    best = np.inf
    weight_a = 1.0
    weight_b = 0.0
    for side in range(3):
        if side == 0:
            sx, sy, ex, ey = ax, ay, bx, by
        elif side == 1:
            sx, sy, ex, ey = bx, by, cx, cy
        else:
            sx, sy, ex, ey = cx, cy, ax, ay
        dx = ex - sx
        dy = ey - sy
        length = dx * dx + dy * dy
        t = ((px - sx) * dx + (py - sy) * dy) / length if length > 0.0 else 0.0
        t = min(max(t, 0.0), 1.0)
        qx = sx + t * dx - px
        qy = sy + t * dy - py
        distance = qx * qx + qy * qy
        if distance < best:
            best = distance
            if side == 0:
                weight_a, weight_b = 1.0 - t, t
            elif side == 1:
                weight_a, weight_b = 0.0, 1.0 - t
            else:
                weight_a, weight_b = t, 0.0
    return best, weight_a, weight_b


@kernel
def _rasterize(corners, reach, distance, triangle, weights):
    """Give each texel within reach of a triangle the nearest one, the first of equals; corners [F,3,2] in texels."""
    height, width = distance.shape
    limit = reach * reach
    for t in range(corners.shape[0]):
        ax, ay = corners[t, 0, 0], corners[t, 0, 1]
        bx, by = corners[t, 1, 0], corners[t, 1, 1]
        cx, cy = corners[t, 2, 0], corners[t, 2, 1]
        x0 = max(np.int64(np.ceil(min(ax, bx, cx) - reach)), 0)
        y0 = max(np.int64(np.ceil(min(ay, by, cy) - reach)), 0)
        x1 = min(np.int64(np.floor(max(ax, bx, cx) + reach)), width - 1)
        y1 = min(np.int64(np.floor(max(ay, by, cy) + reach)), height - 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                if distance[y, x] == 0.0:
                    continue
                found, wa, wb = _nearest_on_triangle(np.float64(x), np.float64(y), ax, ay, bx, by, cx, cy)
                if found <= limit and found < distance[y, x]:
                    distance[y, x] = found
                    triangle[y, x] = t
                    weights[y, x, 0] = wa
                    weights[y, x, 1] = wb


def surface_texels(
    mesh: Mesh, size: tuple[int, int], normals: np.ndarray | None = None, reach: float = 1.5
) -> SurfaceTexels:
    """The texels of a (height, width) texture that lie within `reach` texels of a chart, with their surface points.

    A reach of 1.42 holds every texel that a bilinear look-up on the surface touches. Texels whose centre no triangle
    covers take the nearest point of the nearest one. `normals` [V,3] default to the mesh's vertex normals. Raises
    GeometryError when the mesh has no texture coordinates.
    """
    if mesh.uvs is None or mesh.uv_triangles is None:
        raise GeometryError("the mesh has no texture coordinates to bake to; unwrap it first")
    height, width = size
    corners = mesh.uvs[mesh.uv_triangles].astype(np.float64) * [width, height] - 0.5
    if not np.isfinite(corners).all():
        raise GeometryError("the mesh has texture coordinates that are not finite; unwrap it anew")
    corners = np.clip(corners, -2.0, [width + 1.0, height + 1.0])
    distance = np.full(size, np.inf)
    triangle = np.full(size, -1, np.int32)
    weights = np.zeros((*size, 2), np.float32)
    _rasterize(corners, float(reach), distance, triangle, weights)
    texel = np.flatnonzero(triangle.reshape(-1) >= 0)
    triangle, weights = triangle.reshape(-1)[texel], weights.reshape(-1, 2)[texel]
    normals = mesh.vertex_normals() if normals is None else normals
    found = SurfaceTexels(size, texel, triangle, weights, np.empty((0, 3)), np.empty((0, 3)))
    positions = found.interpolate(mesh.vertices[mesh.triangles])
    directions = found.interpolate(normals[mesh.triangles])
    length = np.linalg.norm(directions, axis=1, keepdims=True)
    face = mesh.face_normals()[triangle]
    face = face / np.maximum(np.linalg.norm(face, axis=1, keepdims=True), 1e-30)
    directions = np.where(length > 1e-6, directions / np.maximum(length, 1e-6), face).astype(np.float32)
    return SurfaceTexels(size, texel, triangle, weights, positions, directions)


def nearest_filled(filled: np.ndarray) -> np.ndarray:
    """[H*W] int64 flat index of the nearest filled texel of each texel (itself where filled), for mask [H,W]."""
    from scipy.ndimage import distance_transform_edt

    height, width = filled.shape
    if not filled.any():
        return np.arange(height * width)
    rows, columns = distance_transform_edt(~filled, return_distances=False, return_indices=True)
    return (rows.astype(np.int64) * width + columns).reshape(-1)


def dilate(texture: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """The texture [H,W,C] with every texel outside the mask [H,W] set to the nearest one inside.

    So mip levels and filters at chart borders mix in no background. Without any filled texel nothing changes.
    """
    return texture.reshape(filled.size, -1)[nearest_filled(filled)].reshape(texture.shape)
