"""Writing meshes as binary PLY: positions, smooth normals, triangles and, where they are known, colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.exchange.atomic import write_file
from engine.exchange.glb import check_exportable
from engine.exchange.textures import bytes_from_unit
from engine.scene.conventions import linear_to_srgb
from engine.scene.mesh import Material, Mesh


def write_ply(path: Path | str, mesh: Mesh, colors: np.ndarray | None = None) -> None:
    """Write the geometry, in the capture frame, as binary little-endian PLY; raises ExchangeError.

    `colors` [V,3], linear, are written sRGB-encoded in eight bits.
    """
    import trimesh

    check_exportable(path, mesh, Material())
    copy = trimesh.Trimesh(mesh.vertices, mesh.triangles, vertex_normals=mesh.vertex_normals(), process=False)
    if colors is not None:
        copy.visual.vertex_colors = bytes_from_unit(linear_to_srgb(colors))
    write_file(path, trimesh.exchange.ply.export_ply(copy, encoding="binary", vertex_normal=True))
