"""Fewer faces for a mesh, without opening or entangling what was closed and manifold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.errors import GeometryError
from engine.geometry.collapse_kernels import collapse
from engine.geometry.topology import clean_faces, components, split_non_manifold
from engine.scene.mesh import Mesh


def cleaned(mesh: Mesh) -> Mesh:
    """The mesh without degenerate, copied or back-to-back faces and unused vertices, and with touching sheets apart.

    Texture coordinates are dropped. Raises GeometryError when nothing is left.
    """
    triangles = mesh.triangles[clean_faces(mesh.triangles)]
    if len(triangles) == 0:
        raise GeometryError("the mesh has no face that is not degenerate; nothing is left to work on")
    vertices, triangles = split_non_manifold(mesh.vertices, triangles)
    return Mesh(np.ascontiguousarray(vertices, np.float32), triangles)


def simplify(mesh: Mesh, faces: int, notify: Callable[[str], None] | None = None) -> Mesh:
    """The mesh with at most `faces` triangles, by quadric edge collapse, and cleaned.

    What was watertight or manifold stays so, and no face turns over: where that ends the collapses before the budget is
    reached, the result has more faces and `notify` is told in one sentence. Texture coordinates are dropped. Raises
    GeometryError on an empty mesh or a budget under four faces.
    """
    if faces < 4:
        raise GeometryError(f"a face budget of {faces} is too small for a surface; ask for 4 faces or more")
    mesh = cleaned(mesh)
    if len(mesh.triangles) <= faces:
        return mesh
    low, high = mesh.box
    scale = float((high - low).max()) or 1.0  # quadrics are sums of squares: work about the origin, at size one
    centre = 0.5 * (low + high).astype(np.float64)
    points = (mesh.vertices.astype(np.float64) - centre) / scale
    triangles = mesh.triangles.astype(np.int64)
    triangles = triangles[collapse(points, triangles, faces)]
    used, triangles = np.unique(triangles, return_inverse=True)
    vertices = (points[used] * scale + centre).astype(np.float32)
    fewer = cleaned(Mesh(vertices, triangles.reshape(-1, 3).astype(np.int32)))
    if len(fewer.triangles) > faces and notify is not None:
        notify(f"simplified to {len(fewer.triangles)} faces instead of {faces}: going on would break the surface")
    return fewer


def remove_small_components(mesh: Mesh, share: float = 0.01) -> Mesh:
    """The mesh without the connected parts whose surface is less than `share` (0 to 1) of the whole; the largest stays.

    Unused vertices go, and texture coordinates stay with their faces.
    """
    label = components(mesh.triangles, len(mesh.vertices))
    area = np.bincount(label, 0.5 * np.linalg.norm(mesh.face_normals().astype(np.float64), axis=1))
    kept = area >= share * area.sum()
    kept[np.argmax(area)] = True
    if kept.all():
        return mesh
    faces = kept[label]
    used, triangles = np.unique(mesh.triangles[faces], return_inverse=True)
    uv_triangles = None if mesh.uv_triangles is None else mesh.uv_triangles[faces]
    return Mesh(mesh.vertices[used], triangles.reshape(-1, 3).astype(np.int32), mesh.uvs, uv_triangles)
