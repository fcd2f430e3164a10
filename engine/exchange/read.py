"""Reading assets: GLB, glTF, OBJ and PLY through trimesh, as one Mesh and one Material."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.read_material import GltfMaterials, ObjMaterials
from engine.exchange.references import (
    check_obj_faces,
    gltf_document,
    gltf_references,
    obj_materials,
    read_error,
    within_folder,
)
from engine.exchange.stated_up import stated_up
from engine.scene.conventions import GLTF_UP, gltf_texcoord_to_obj
from engine.scene.mesh import Material, Mesh

FORMATS = (".glb", ".gltf", ".obj", ".ply")


def read_asset(path: Path | str) -> tuple[Mesh, Material]:
    """The mesh and material of a file; our own GLBs come back in the capture frame, others placed as in their scene.

    Vertices equal in position and normal become one, so hard edges stay split. Texture coordinates beyond [0,1] are
    brought back by repeating. Raises ExchangeError, naming the file: unreadable, no triangles, several materials with
    textures, or a file that it names outside its folder.
    """
    return _read(Path(path), with_material=True)[:2]


def read_asset_and_up(path: Path | str) -> tuple[Mesh, Material, np.ndarray]:
    """What `read_asset` gives, and the up direction [3] of its frame.

    In our own files that is their capture's, which the root node of a GLB turns to +Y and a comment in OBJ and PLY
    says. Elsewhere it is +Y, as glTF has it.
    """
    return _read(Path(path), with_material=True)


def read_mesh(path: Path | str) -> Mesh:
    """The geometry only, whatever materials the file has; see `read_asset`."""
    return _read(Path(path), with_material=False)[0]


def is_foreign_gltf(path: Path | str) -> bool:
    """Whether the file is a glTF of another program, whose frame may be the capture's or have +Y up as glTF says."""
    path = Path(path)
    return path.suffix.lower() in (".glb", ".gltf") and not _is_own(gltf_document(path))


def _is_own(document: dict) -> bool:
    return str(document["asset"].get("generator", "")).startswith("Unrender")


def _read(path: Path, with_material: bool) -> tuple[Mesh, Material, np.ndarray]:
    import trimesh

    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ExchangeError(f"{path}: '{suffix}' is not a format that can be read; use one of {', '.join(FORMATS)}")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise read_error(path, error) from error
    own, materials = False, None
    if suffix in (".glb", ".gltf"):
        document = gltf_document(path)
        for reference in gltf_references(document):
            if not within_folder(path, reference).exists():
                raise ExchangeError(f"{path}: its file '{reference}' is missing; copy it beside the asset")
        own = _is_own(document)
        materials = GltfMaterials(path, document)
    elif suffix == ".obj":
        materials = ObjMaterials(path, obj_materials(path))
    try:
        scene = trimesh.load_scene(path, process=False, skip_materials=not with_material)
        parts, up = _parts(scene, keep_frame=own), _up(scene) if own else stated_up(path)
    except Exception as error:  # trimesh raises whatever its parsers stumble over
        if suffix == ".obj":
            check_obj_faces(path)
        raise ExchangeError(f"{path}: cannot be read ({type(error).__name__}: {error}); export it again") from error
    if not parts:
        raise ExchangeError(f"{path}: it has no triangles; export it as a mesh with faces, not as points or curves")
    if any(not np.isfinite(points).all() for points, _, _, _ in parts):
        raise ExchangeError(f"{path}: it has non-finite vertex positions; export it again")
    material = Material()
    if with_material and materials is not None:
        material = materials.of([part[3] for part in parts])
    return *_joined(path, parts, material), np.array(GLTF_UP) if up is None else up


def _up(scene) -> np.ndarray:
    """[3] what the scene's node turns to +Y."""
    transform = next((scene.graph[node][0] for node in scene.graph.nodes_geometry), np.eye(4))
    up = transform[:3, :3].T @ np.array(GLTF_UP)
    return np.round(up / max(np.linalg.norm(up), 1e-30), 12) + 0.0  # whole axes again, as before the quaternion


def _parts(scene, keep_frame: bool) -> list[tuple]:
    """(points [N,3], normals [N,3] or None, triangles [F,3], geometry) of every placed triangle mesh of a Scene."""
    parts = []
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if not len(getattr(geometry, "faces", ())):
            continue
        points = np.asarray(geometry.vertices, np.float64)
        # normals that the file has; those that trimesh would compute are not in the cache yet
        normals = geometry.vertex_normals if "vertex_normals" in geometry._cache else None
        triangles = np.asarray(geometry.faces, np.int64)
        if not keep_frame and not np.allclose(transform, np.eye(4), atol=0):
            points = points @ transform[:3, :3].T + transform[:3, 3]
            if np.linalg.det(transform[:3, :3]) < 0:
                triangles = triangles[:, ::-1]
        parts.append((points, normals, triangles, geometry))
    return parts


def _joined(path: Path, parts: list[tuple], material: Material) -> tuple[Mesh, Material]:
    vertices, triangles, uvs = [], [], []
    offset = 0
    textured = True
    for part, (points, normals, faces, geometry) in enumerate(parts):
        points = points.astype(np.float32)
        directions = np.zeros_like(points) if normals is None else np.asarray(normals, np.float32)
        rows = np.concatenate([np.full((len(points), 1), part, np.float32), points, directions], 1)
        vertices.append(rows + np.float32(0))  # -0 and 0 are one place
        triangles.append(faces + offset)
        offset += len(points)
        uv = getattr(geometry.visual, "uv", None) if geometry.visual.kind == "texture" else None
        if uv is None or len(uv) != len(points):
            textured = False
        else:
            uvs.append(np.asarray(uv, np.float64)[:, :2])
    index = np.concatenate(triangles).astype(np.int32)
    rows = np.concatenate(vertices)
    _, first, welded = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # keep the file's order of vertices
    points = rows[np.sort(first), 1:4].astype(np.float32)
    corners = rank[welded.reshape(-1)][index].astype(np.int32)
    if not textured:
        flat = material.base_color.shape[:2] == material.occlusion_roughness_metallic.shape[:2] == (1, 1)
        return Mesh(points, corners), material if flat and material.normal is None else Material()
    uv = gltf_texcoord_to_obj(np.concatenate(uvs))  # trimesh has the origin at the bottom
    if not np.isfinite(uv).all():
        raise ExchangeError(f"{path}: it has non-finite texture coordinates; export it again")
    uv, uv_index, material = _in_unit_square(path, uv, index, material)
    return Mesh(points, corners, uv.astype(np.float32), uv_index.astype(np.int32)), material


def _in_unit_square(path: Path, uv: np.ndarray, index: np.ndarray, material: Material):
    """Repeat: move each triangle's coordinates by whole tiles, and repeat the texture where one spans several."""
    tolerance = 1e-4
    if uv.min() >= -tolerance and uv.max() <= 1 + tolerance:
        return np.clip(uv, 0, 1), index, material
    corner = uv[index]
    corner = corner - np.floor(corner.min(1, keepdims=True) + tolerance)
    tiles = np.maximum(np.ceil(corner.max((0, 1)) - tolerance), 1).astype(int)
    if tiles.max() > 8:
        raise ExchangeError(f"{path}: a triangle repeats the texture {tiles.max()} times; unwrap the mesh to [0,1]")
    repeated = [
        None if t is None or t.shape[:2] == (1, 1) else np.tile(t, (tiles[1], tiles[0], 1))
        for t in (material.base_color, material.occlusion_roughness_metallic, material.normal)
    ]
    material = Material(
        material.base_color if repeated[0] is None else repeated[0],
        material.occlusion_roughness_metallic if repeated[1] is None else repeated[1],
        material.normal if repeated[2] is None else repeated[2],
    )
    unique, inverse = np.unique((corner / tiles).reshape(-1, 2).astype(np.float32), axis=0, return_inverse=True)
    return np.clip(unique, 0, 1), inverse.reshape(-1, 3), material
