"""Writing meshes as binary PLY: positions, smooth normals, triangles."""

from __future__ import annotations

from pathlib import Path

from engine.exchange.atomic import write_file
from engine.exchange.glb import check_exportable
from engine.scene.mesh import Material, Mesh


def write_ply(path: Path | str, mesh: Mesh) -> None:
    """Write the geometry, in the capture frame, as binary little-endian PLY; raises ExchangeError."""
    import trimesh

    check_exportable(path, mesh, Material())
    copy = trimesh.Trimesh(mesh.vertices, mesh.triangles, vertex_normals=mesh.vertex_normals(), process=False)
    write_file(path, trimesh.exchange.ply.export_ply(copy, encoding="binary", vertex_normal=True))
