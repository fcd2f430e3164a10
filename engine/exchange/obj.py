"""Writing Wavefront OBJ with an MTL library that uses the PBR extension (Pr, Pm, map_Pr, map_Pm, norm)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from engine.exchange.atomic import AtomicFiles
from engine.exchange.glb import check_exportable, generator
from engine.exchange.stated_up import up_comment
from engine.exchange.textures import bytes_from_unit, encode_base_color, encode_normal, png_bytes
from engine.scene.conventions import gltf_texcoord_to_obj, linear_to_srgb
from engine.scene.mesh import Material, Mesh


def write_obj(
    path: Path | str, mesh: Mesh, material: Material, name: str = "asset", up: np.ndarray | None = None
) -> None:
    """Write NAME.obj, NAME.mtl and its PNG textures in one folder, in the capture frame; raises ExchangeError.

    A comment says that frame's `up` [3]. All files appear together or none does. OBJ has no occlusion and no tangents;
    normals are the smooth vertex normals.
    """
    path = Path(path)
    check_exportable(path, mesh, material)
    # names with spaces are not read back by every program
    stem = re.sub(r"\s+", "_", path.stem)
    textured = mesh.uvs is not None
    library = [f"# {generator()}", f"newmtl {name}", "illum 2"]
    textures: list[tuple[str, np.ndarray]] = []
    if textured:
        packed = material.occlusion_roughness_metallic
        for statement, kind, image in (
            ("map_Kd", "base_color", encode_base_color(material.base_color)),
            ("map_Pr", "roughness", bytes_from_unit(packed[..., 1])),
            ("map_Pm", "metallic", bytes_from_unit(packed[..., 2])),
            ("norm", "normal", None if material.normal is None else encode_normal(material.normal)),
        ):
            if image is not None:
                textures.append((f"{stem}_{kind}.png", image))
                library.append(f"{statement} {textures[-1][0]}")
        library.insert(3, "Kd 1 1 1")
    else:
        color, packed = linear_to_srgb(material.base_color[0, 0]), material.occlusion_roughness_metallic[0, 0]
        library.append("Kd " + " ".join(f"{value:.6g}" for value in color))
        library += [f"Pr {packed[1]:.6g}", f"Pm {packed[2]:.6g}"]
    with AtomicFiles() as files:
        for file_name, image in textures:
            files.write(path.with_name(file_name), png_bytes(image))
        files.write(path.with_name(f"{stem}.mtl"), ("\n".join(library) + "\n").encode())
        files.write(path, _obj_text(mesh, f"{stem}.mtl", name, up).encode())


def _obj_text(mesh: Mesh, library: str, name: str, up: np.ndarray | None) -> str:
    stream = io.StringIO()
    upright = "" if up is None else f"# {up_comment(up)}\n"
    stream.write(f"# {generator()}\n{upright}mtllib {library}\no {name}\n")
    np.savetxt(stream, mesh.vertices, "v %.9g %.9g %.9g")
    triangles = mesh.triangles.astype(np.int64) + 1
    if mesh.uvs is not None:
        np.savetxt(stream, gltf_texcoord_to_obj(mesh.uvs.astype(np.float64)), "vt %.9g %.9g")
    np.savetxt(stream, mesh.vertex_normals(), "vn %.7g %.7g %.7g")
    stream.write(f"usemtl {name}\n")
    if mesh.uvs is not None:
        corners = np.stack([triangles, mesh.uv_triangles.astype(np.int64) + 1, triangles], -1).reshape(-1, 9)
        np.savetxt(stream, corners, "f %d/%d/%d %d/%d/%d %d/%d/%d")
    else:
        np.savetxt(stream, np.repeat(triangles, 2, axis=1), "f %d//%d %d//%d %d//%d")
    return stream.getvalue()
