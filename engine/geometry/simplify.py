"""Fewer faces for a mesh, without opening or entangling what was closed and manifold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.errors import GeometryError
from engine.geometry.topology import Topology, clean_faces, components, split_non_manifold
from engine.scene.mesh import Mesh

# Tried in turn until the topology survives: how fast the error threshold rises, and in how many rounds.
ATTEMPTS = ((7.0, 1), (7.0, 4), (5.0, 3), (4.0, 6), (3.0, 8))


def cleaned(mesh: Mesh) -> Mesh:
    """The mesh without degenerate, copied or back-to-back faces and unused vertices, and with touching sheets apart.

    Texture coordinates are dropped. Raises GeometryError when nothing is left.
    """
    triangles = mesh.triangles[clean_faces(mesh.triangles)]
    if len(triangles) == 0:
        raise GeometryError("the mesh has no face that is not degenerate; nothing is left to work on")
    vertices, triangles = split_non_manifold(mesh.vertices, triangles)
    return Mesh(np.ascontiguousarray(vertices, np.float32), triangles)


def _fewer(mesh: Mesh, faces: int, aggressiveness: float) -> Mesh:
    from fast_simplification import simplify as collapse_edges

    low, high = mesh.box
    scale = float((high - low).max()) / 2 or 1.0  # the library's thresholds are absolute lengths
    points = (mesh.vertices.astype(np.float64) - 0.5 * (low + high)) / scale
    points, triangles = collapse_edges(points, mesh.triangles, target_count=faces, agg=aggressiveness)
    vertices = (points * scale + 0.5 * (low + high)).astype(np.float32)
    return cleaned(Mesh(vertices, triangles.astype(np.int32)))


def _intact(before: Topology, after: Topology) -> bool:
    return (
        (after.manifold or not before.manifold)
        and (after.watertight or not before.watertight)
        and (after.flipped_edges == 0 or before.flipped_edges > 0)
    )


def simplify(mesh: Mesh, faces: int, notify: Callable[[str], None] | None = None) -> Mesh:
    """The mesh with at most about `faces` triangles, by quadric edge collapse (fast-simplification), and cleaned.

    What was watertight or manifold stays so: where a collapse breaks that, gentler ones are tried, and if all do the
    smallest intact result is returned and `notify` is told in one sentence. Texture coordinates are dropped. Raises
    GeometryError on an empty mesh or a budget under four faces.
    """
    if faces < 4:
        raise GeometryError(f"a face budget of {faces} is too small for a surface; ask for 4 faces or more")
    current = cleaned(mesh)
    before = Topology.of(current.triangles)
    if len(current.triangles) <= faces:
        return current
    best = current
    for aggressiveness, rounds in ATTEMPTS:
        found = current
        ratio = (faces / len(current.triangles)) ** (1 / rounds)
        for step in range(rounds):
            target = faces if step == rounds - 1 else int(len(current.triangles) * ratio ** (step + 1))
            if len(found.triangles) <= target:
                continue
            try:
                fewer = _fewer(found, target, aggressiveness)
            except GeometryError:  # collapsed to nothing
                break
            if not _intact(before, Topology.of(fewer.triangles)):
                break
            found = fewer
        if len(found.triangles) < len(best.triangles):
            best = found
        if len(best.triangles) <= faces * 1.01:
            return best
    if notify is not None:
        notify(f"simplified to {len(best.triangles)} faces instead of {faces}: going on would break the surface")
    return best


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
