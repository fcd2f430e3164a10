"""Our GLB is what glTF 2.0, its validator and MikkTSpace want, and it comes back as it went out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ExchangeError
from engine.exchange import read_asset, tangent_attributes, write_glb
from engine.exchange.glb import quaternion
from engine.scene import Material, Mesh
from engine.scene.conventions import gltf_from_capture, rotation_between

VALIDATE = Path(__file__).resolve().parents[2] / "tools" / "validate_gltf.mjs"
VALIDATOR = Path(os.environ.get("UNRENDER_GLTF_VALIDATOR", Path(sys.prefix) / "gltf-validator"))
UP = np.array([0.1, -0.2, 0.97])


def _opened(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def _accessor(document: dict, binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    dtype = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
    return np.frombuffer(binary, dtype, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)


@pytest.mark.parametrize("kind", ["textured", "without normal map", "without coordinates", "degenerate"])
def test_the_khronos_validator_has_nothing_to_say(asset, tmp_path, kind):
    if not (VALIDATOR / "node_modules" / "gltf-validator").exists():
        pytest.skip(f"gltf-validator is not installed: npm install --prefix {VALIDATOR} gltf-validator@2.0.0-dev.3.10")
    mesh, material = asset
    if kind == "without normal map":
        material = Material(material.base_color, material.occlusion_roughness_metallic)
    elif kind == "without coordinates":
        mesh, material = Mesh(mesh.vertices, mesh.triangles), Material()
    elif kind == "degenerate":
        vertices = np.concatenate([mesh.vertices, mesh.vertices[:1] * 0])  # one unused vertex, one flat triangle
        flat = np.array([[0, 0, 1]], np.int32)
        triangles, uv_triangles = (np.concatenate([index, flat]) for index in (mesh.triangles, mesh.uv_triangles))
        mesh = Mesh(vertices, triangles, mesh.uvs, uv_triangles)
    path = tmp_path / "asset.glb"
    write_glb(path, mesh, material, UP, "thing")
    node = Path(sys.executable).parent / ("node.exe" if os.name == "nt" else "node")
    command = [str(node) if node.exists() else "node", str(VALIDATE), str(VALIDATOR), str(path)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout)
    assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
    assert report["info"]["totalTriangleCount"] == len(mesh.triangles)


def test_names_generator_axes_and_bounds(asset, tmp_path):
    mesh, material = asset
    write_glb(tmp_path / "asset.glb", mesh, material, UP, "jug")
    document, binary = _opened(tmp_path / "asset.glb")
    assert document["asset"]["generator"].startswith("Unrender")
    for kind in ("nodes", "meshes", "materials"):
        assert [entry["name"] for entry in document[kind]] == ["jug"]
    assert [image["name"] for image in document["images"]] == [
        "jug_baseColor",
        "jug_occlusionRoughnessMetallic",
        "jug_normal",
    ]
    material_entry = document["materials"][0]
    packed = material_entry["pbrMetallicRoughness"]["metallicRoughnessTexture"]
    assert packed == material_entry["occlusionTexture"]  # one image for both
    x, y, z, w = document["nodes"][0]["rotation"]
    vector = np.array([x, y, z])
    turned = UP + 2 * np.cross(vector, np.cross(vector, UP) + w * UP)
    np.testing.assert_allclose(turned / np.linalg.norm(UP), [0, 1, 0], atol=1e-6)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    positions = _accessor(document, binary, attributes["POSITION"])
    np.testing.assert_array_equal(positions.min(0), mesh.box[0])  # in the capture frame
    assert document["accessors"][attributes["POSITION"]]["max"] == mesh.box[1].tolist()


def test_the_files_tangents_are_those_of_its_own_normals_and_coordinates(asset, tmp_path):
    mesh, material = asset
    write_glb(tmp_path / "asset.glb", mesh, material, UP)
    document, binary = _opened(tmp_path / "asset.glb")
    primitive = document["meshes"][0]["primitives"][0]
    read = {name: _accessor(document, binary, index) for name, index in primitive["attributes"].items()}
    index = _accessor(document, binary, primitive["indices"]).reshape(-1, 3).astype(np.int32)
    whole = Mesh(read["POSITION"], index, read["TEXCOORD_0"], index)
    tangents, fans = tangent_attributes(whole, read["NORMAL"])
    np.testing.assert_allclose(read["TANGENT"][index], tangents[fans], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(read["NORMAL"], axis=1), 1, atol=1e-6)
    assert np.abs((read["TANGENT"][:, :3] * read["NORMAL"]).sum(1)).max() < 1e-6


def test_a_round_trip_keeps_topology_and_textures(asset, tmp_path):
    mesh, material = asset
    write_glb(tmp_path / "asset.glb", mesh, material, UP)
    again, read = read_asset(tmp_path / "asset.glb")
    assert len(again.vertices) == len(mesh.vertices)  # seams are welded again
    np.testing.assert_array_equal(again.vertices[again.triangles], mesh.vertices[mesh.triangles])
    np.testing.assert_allclose(again.uvs[again.uv_triangles], mesh.uvs[mesh.uv_triangles], atol=1e-6)
    normals, normals_again = mesh.vertex_normals()[mesh.triangles], again.vertex_normals()[again.triangles]
    np.testing.assert_allclose(normals_again, normals, atol=1e-6)
    np.testing.assert_allclose(read.base_color, material.base_color, atol=0.005)  # half an sRGB step
    np.testing.assert_allclose(
        read.occlusion_roughness_metallic, material.occlusion_roughness_metallic, atol=0.5 / 255 + 1e-6
    )
    assert np.degrees(np.arccos(np.clip((read.normal * material.normal).sum(-1), -1, 1))).max() < 0.5


def test_factors_without_coordinates_keep_their_values(asset, tmp_path):
    mesh = Mesh(asset[0].vertices, asset[0].triangles)
    material = Material(np.float32([[[0.01, 0.123, 0.9]]]), np.float32([[[1, 0.37, 0.81]]]))
    write_glb(tmp_path / "asset.glb", mesh, material)
    read = read_asset(tmp_path / "asset.glb")[1]
    np.testing.assert_allclose(read.base_color, material.base_color, atol=1e-6)
    np.testing.assert_allclose(read.occlusion_roughness_metallic, material.occlusion_roughness_metallic, atol=1e-6)


@pytest.mark.parametrize("fault", ["empty", "nan position", "nan texture", "no coordinates", "a file for a folder"])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(asset, tmp_path, fault):
    mesh, material = asset
    path = tmp_path / "asset.glb"
    if fault == "empty":
        mesh = Mesh(mesh.vertices, mesh.triangles[:0], mesh.uvs, mesh.uv_triangles[:0])
    elif fault == "nan position":
        mesh = Mesh(mesh.vertices * np.float32(np.nan), mesh.triangles, mesh.uvs, mesh.uv_triangles)
    elif fault == "nan texture":
        material = Material(material.base_color * np.float32(np.nan))
    elif fault == "no coordinates":
        mesh = Mesh(mesh.vertices, mesh.triangles)
    else:
        (tmp_path / "file").write_text("x")
        path = tmp_path / "file" / "asset.glb"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ExchangeError, match="asset.glb"):
        write_glb(path, mesh, material)
    assert sorted(tmp_path.rglob("*")) == before


def test_quaternions_of_half_turns_and_small_ones():
    rng = np.random.default_rng(3)
    rotations = [rotation_between(*rng.normal(size=(2, 3))) for _ in range(20)]
    rotations += [gltf_from_capture(up) for up in ([0, -1, 0], [0, 1, 0], [1e-5, 1, 0], [1, 0, 0])]
    for rotation in rotations:
        *vector, w = quaternion(rotation)
        point = rng.normal(size=3)
        turned = point + 2 * np.cross(vector, np.cross(vector, point) + w * point)
        np.testing.assert_allclose(turned, rotation @ point, atol=1e-9)
