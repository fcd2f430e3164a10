"""Writing meshes as binary PLY: positions, smooth normals, triangles and, where they are known, colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.exchange.atomic import write_file
from engine.exchange.glb import check_exportable
from engine.exchange.stated_up import up_comment
from engine.exchange.textures import bytes_from_unit
from engine.scene.conventions import linear_to_srgb
from engine.scene.mesh import Material, Mesh


def write_ply(path: Path | str, mesh: Mesh, colors: np.ndarray | None = None, up: np.ndarray | None = None) -> None:
    """Write the geometry, in the capture frame, as binary little-endian PLY; raises ExchangeError.

    `colors` [V,3], linear, are written sRGB-encoded in eight bits; a comment says that frame's `up` [3].
    """
    import trimesh

    check_exportable(path, mesh, Material())
    copy = trimesh.Trimesh(mesh.vertices, mesh.triangles, vertex_normals=mesh.vertex_normals(), process=False)
    if colors is not None:
        copy.visual.vertex_colors = bytes_from_unit(linear_to_srgb(colors))
    data = trimesh.exchange.ply.export_ply(copy, encoding="binary", vertex_normal=True)
    if up is not None:
        data = data.replace(b"element vertex", f"comment {up_comment(up)}\nelement vertex".encode(), 1)
    write_file(path, data)
