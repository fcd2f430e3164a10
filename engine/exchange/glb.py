"""Writing binary glTF 2.0: one mesh, one metallic-roughness material, one node that turns the capture to +Y up."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.atomic import write_file
from engine.exchange.tangents import tangent_attributes
from engine.exchange.textures import bytes_from_unit, encode_base_color, encode_normal, png_bytes
from engine.scene.conventions import gltf_from_capture
from engine.scene.mesh import Material, Mesh

_FLOAT, _UNSIGNED_INT = 5126, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963


def generator() -> str:
    """What our files name as their generator; `read_asset` knows them by it."""
    try:
        return f"Unrender {version('unrender')}"
    except PackageNotFoundError:
        return "Unrender"


@dataclass(frozen=True)
class SplitMesh:
    """A mesh with one index for all attributes, as glTF and GPUs want it."""

    positions: np.ndarray  # [N,3] float32
    normals: np.ndarray  # [N,3] float32 unit
    uvs: np.ndarray | None  # [N,2] float32, origin top-left
    tangents: np.ndarray | None  # [N,4] float32, unit and sign
    triangles: np.ndarray  # [F,3] uint32


def split_mesh(mesh: Mesh) -> SplitMesh:
    """Split vertices where texture coordinates or tangents differ; normals are the smooth `vertex_normals()`."""
    normals = mesh.vertex_normals()
    if mesh.uvs is None or mesh.uv_triangles is None:
        return SplitMesh(mesh.vertices.astype(np.float32), normals, None, None, mesh.triangles.astype(np.uint32))
    tangents, tangent_triangles = tangent_attributes(mesh, normals)
    corners = np.stack([mesh.triangles, mesh.uv_triangles, tangent_triangles], -1).reshape(-1, 3).astype(np.int64)
    key = (corners[:, 0] * len(mesh.uvs) + corners[:, 1]) * len(tangents) + corners[:, 2]
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    vertex, uv, tangent = corners[first].T
    return SplitMesh(
        mesh.vertices[vertex].astype(np.float32),
        normals[vertex],
        mesh.uvs[uv].astype(np.float32),
        tangents[tangent],
        index.reshape(-1, 3).astype(np.uint32),
    )


def write_glb(
    path: Path | str, mesh: Mesh, material: Material, up: np.ndarray = (0.0, 1.0, 0.0), name: str = "asset"
) -> None:
    """Write mesh and material as GLB; vertices stay in the capture frame, whose up direction is `up` [3].

    The root node's rotation takes them to glTF's +Y up. Textures are 8-bit PNG; occlusion, roughness and metallic share
    one. Without texture coordinates, textures of one texel become factors. Raises ExchangeError.
    """
    write_file(path, glb_bytes(mesh, material, up, name, path))


def check_exportable(path: Path | str, mesh: Mesh, material: Material) -> None:
    """Raise ExchangeError for what no asset file can hold: an empty or non-finite mesh, textures without uvs."""
    if len(mesh.triangles) == 0 or len(mesh.vertices) == 0:
        raise ExchangeError(f"{path}: the mesh is empty, so there is nothing to export; run more steps first")
    if not np.isfinite(mesh.vertices).all() or (mesh.uvs is not None and not np.isfinite(mesh.uvs).all()):
        raise ExchangeError(f"{path}: the mesh has non-finite coordinates; go back to an earlier checkpoint")
    maps = [material.base_color, material.occlusion_roughness_metallic, material.normal]
    if not all(np.isfinite(texture).all() for texture in maps if texture is not None):
        raise ExchangeError(f"{path}: a texture has non-finite values; go back to an earlier checkpoint")
    if mesh.uvs is None and any(texture.shape[:2] != (1, 1) for texture in maps if texture is not None):
        raise ExchangeError(f"{path}: the material has textures, the mesh no texture coordinates; unwrap it first")


def glb_bytes(mesh: Mesh, material: Material, up: np.ndarray, name: str, path: Path | str = "asset.glb") -> bytes:
    """The GLB file's content; see `write_glb`."""
    check_exportable(path, mesh, material)
    split = split_mesh(mesh)
    buffer = _Buffer()
    attributes = {
        "POSITION": buffer.accessor(split.positions, "VEC3", bounds=True),
        "NORMAL": buffer.accessor(split.normals, "VEC3"),
    }
    if split.uvs is not None:
        attributes["TEXCOORD_0"] = buffer.accessor(split.uvs, "VEC2")
        attributes["TANGENT"] = buffer.accessor(split.tangents, "VEC4")
    indices = buffer.accessor(split.triangles.reshape(-1), "SCALAR")
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    document = {
        "asset": {"version": "2.0", "generator": generator()},
        "scene": 0,
        "scenes": [{"name": name, "nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0, "rotation": quaternion(gltf_from_capture(up)).tolist()}],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "materials": [{"name": name}],
    }
    pbr: dict = {}
    document["materials"][0]["pbrMetallicRoughness"] = pbr
    if split.uvs is None:
        occlusion_roughness_metallic = np.clip(material.occlusion_roughness_metallic[0, 0].astype(float), 0, 1)
        pbr["baseColorFactor"] = [*np.clip(material.base_color[0, 0].astype(float), 0, 1).tolist(), 1.0]
        pbr["roughnessFactor"], pbr["metallicFactor"] = occlusion_roughness_metallic[1:].tolist()
    else:
        images = [("baseColor", encode_base_color(material.base_color))]
        images.append(("occlusionRoughnessMetallic", bytes_from_unit(material.occlusion_roughness_metallic)))
        pbr["baseColorTexture"], pbr["metallicRoughnessTexture"] = {"index": 0}, {"index": 1}
        document["materials"][0]["occlusionTexture"] = {"index": 1}
        if material.normal is not None:
            images.append(("normal", encode_normal(material.normal)))
            document["materials"][0]["normalTexture"] = {"index": 2}
        # linear with mips, clamped at the border: as the optimizer's own look-up
        document["samplers"] = [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}]
        document["textures"] = [
            {"name": f"{name}_{kind}", "sampler": 0, "source": i} for i, (kind, _) in enumerate(images)
        ]
        document["images"] = [
            {"name": f"{name}_{kind}", "mimeType": "image/png", "bufferView": buffer.view(png_bytes(image))}
            for kind, image in images
        ]
    document["accessors"], document["bufferViews"] = buffer.accessors, buffer.views
    document["buffers"] = [{"byteLength": len(buffer.data)}]
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    data = bytes(buffer.data) + b"\0" * (-len(buffer.data) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    if total >= 2**32:
        raise ExchangeError(f"{path}: the asset is larger than a GLB's 4 GiB; lower the texture size or the face count")
    chunks = [struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON"), text]
    return b"".join([*chunks, struct.pack("<I4s", len(data), b"BIN\0"), data])


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion (x, y, z, w) of a rotation matrix [3,3]."""
    # the eigenvector of the largest eigenvalue (Bar-Itzhack 2000): right for every rotation, half turns included
    r = np.asarray(rotation, float)
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    vector = np.linalg.eigh(k)[1][:, -1]  # reads the lower triangle
    vector = np.where(np.abs(vector) < 1e-15, 0.0, vector)
    return vector * (1 if vector[3] >= 0 else -1)


class _Buffer:
    """The binary chunk, its views and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(view if target is None else {**view, "target": target})
        self.data += data
        return len(self.views) - 1

    def accessor(self, values: np.ndarray, kind: str, bounds: bool = False) -> int:
        index = kind == "SCALAR"
        values = np.ascontiguousarray(values, "<u4" if index else "<f4")
        accessor = {
            "bufferView": self.view(values.tobytes(), _ELEMENT_ARRAY_BUFFER if index else _ARRAY_BUFFER),
            "componentType": _UNSIGNED_INT if index else _FLOAT,
            "count": len(values),
            "type": kind,
        }
        if bounds:
            accessor["min"], accessor["max"] = values.min(0).tolist(), values.max(0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1
