"""Foreign assets: placed as their scene says, wrapped, refused when they leave their folder, named when broken."""

import json

import numpy as np
import pytest
import trimesh

from engine.errors import ExchangeError
from engine.exchange import read_asset, read_asset_and_up, read_mesh, write_glb, write_obj, write_ply
from engine.scene import Material, Mesh


def _gltf(tmp_path, **changes):
    """A textured quad as .gltf with its files beside it, from trimesh."""
    quad = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    quad.visual = trimesh.visual.TextureVisuals(
        uv=changes.get("uv", [[0, 0], [1, 0], [1, 1], [0, 1]]), material=changes.get("material")
    )
    scene = trimesh.Scene()
    scene.add_geometry(quad, transform=changes.get("transform", np.eye(4)))
    for name, data in trimesh.exchange.gltf.export_gltf(scene).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path / "model.gltf"


def test_node_transforms_apply_to_foreign_files(tmp_path):
    transform = np.diag([-2.0, 3, 1, 1])  # mirrored: the winding must follow
    transform[:3, 3] = [5, 6, 7]
    mesh, _ = read_asset(_gltf(tmp_path, transform=transform))
    np.testing.assert_allclose(mesh.box, [[3, 6, 7], [5, 9, 7]])
    assert (mesh.face_normals()[:, 2] > 0).all()
    # the image stands upright: v grows downward
    corner = mesh.uvs[mesh.uv_triangles[mesh.triangles == mesh.vertices[:, 1].argmax()][:1]]
    assert corner[0, 1] == 0


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (0.6, 0, 0.8)])
def test_the_up_of_our_own_files_is_their_captures(tmp_path, up):
    box = trimesh.creation.box((1, 2, 3))
    mesh = Mesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int32))
    write_glb(tmp_path / "own.glb", mesh, Material(), np.array(up, float))
    again, _, read = read_asset_and_up(tmp_path / "own.glb")
    np.testing.assert_allclose(read, up, atol=1e-9)
    assert read.tolist() == list(up) and np.array_equal(again.box, mesh.box)
    write_obj(tmp_path / "own.obj", mesh, Material(), up=np.array(up))
    write_ply(tmp_path / "own.ply", mesh, up=np.array(up))
    for name in ("own.obj", "own.ply"):
        again, _, read = read_asset_and_up(tmp_path / name)
        np.testing.assert_allclose(read, up, atol=1e-9)
        assert np.array_equal(again.box, mesh.box) and len(again.triangles) == 12
    document = trimesh.load_scene(tmp_path / "own.glb")  # as other programs do, with the root node's rotation
    document.export(tmp_path / "foreign.glb")
    assert read_asset_and_up(tmp_path / "foreign.glb")[2].tolist() == [0, 1, 0]


@pytest.mark.parametrize("said", ["0 0", "0 0 0", "a b c", "nan 0 1", "0 0 1e300"])
def test_a_comment_that_is_no_direction_says_nothing(tmp_path, said):
    path = tmp_path / "a.obj"
    path.write_text(f"# Unrender up {said}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert read_asset_and_up(path)[2].tolist() == [0, 1, 0]


def test_textures_beyond_the_unit_square_are_repeated(tmp_path):
    from PIL import Image

    ramp = np.tile(np.arange(0, 256, 32, dtype=np.uint8)[None, :, None], (8, 1, 3))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(ramp), name="ramp")
    mesh, read = read_asset(_gltf(tmp_path, uv=[[-3, 5], [-1, 5], [-1, 6], [-3, 6]], material=material))
    assert read.base_color.shape == (8, 16, 3)
    np.testing.assert_array_equal(read.base_color[:, :8], read.base_color[:, 8:])
    np.testing.assert_allclose([mesh.uvs.min(0), mesh.uvs.max(0)], [[0, 0], [1, 1]], atol=1e-6)


def test_hard_edges_stay_split_and_smooth_ones_are_joined(tmp_path):
    box = trimesh.creation.box()
    hard = trimesh.Trimesh(box.vertices[box.faces].reshape(-1, 3), np.arange(36).reshape(-1, 3), process=False)
    smooth = trimesh.Trimesh(hard.vertices, hard.faces, vertex_normals=hard.vertices, process=False)
    hard.vertex_normals = np.repeat(hard.face_normals, 3, axis=0)
    hard.export(tmp_path / "hard.glb", include_normals=True)
    smooth.export(tmp_path / "smooth.glb", include_normals=True)
    assert len(read_mesh(tmp_path / "hard.glb").vertices) == 24
    assert len(read_mesh(tmp_path / "smooth.glb").vertices) == 8


def test_several_materials_are_refused_but_not_for_geometry(tmp_path):
    scene = trimesh.Scene()
    for offset, name in enumerate(("red", "blue")):
        part = trimesh.creation.box()
        part.apply_translation([2 * offset, 0, 0])
        part.visual = trimesh.visual.TextureVisuals(
            uv=np.zeros((8, 2)), material=trimesh.visual.material.PBRMaterial(name=name, metallicFactor=float(offset))
        )
        scene.add_geometry(part)
    scene.export(tmp_path / "two.glb")
    with pytest.raises(ExchangeError, match=r"two\.glb.*2 materials \((red, blue|blue, red)\)"):
        read_asset(tmp_path / "two.glb")
    assert len(read_mesh(tmp_path / "two.glb").triangles) == 24


@pytest.mark.parametrize("where", ["buffers", "images"])
@pytest.mark.parametrize("uri", ["../outside.bin", "/etc/hostname", "a/../../outside.bin", "..%2Foutside.bin"])
def test_a_gltf_that_leaves_its_folder_is_refused(tmp_path, where, uri):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(b"secret")
    path = _gltf(folder)
    document = json.loads(path.read_text())
    document.setdefault(where, []).append({"uri": uri, "byteLength": 6})
    path.write_text(json.dumps(document))
    with pytest.raises(ExchangeError, match=r"model\.gltf.*outside its folder"):
        read_asset(path)


@pytest.mark.parametrize("place", ["mtllib", "map_Kd", "map_Pr"])
def test_an_obj_that_leaves_its_folder_is_refused(asset, tmp_path, place):
    folder = tmp_path / "inner"
    write_obj(folder / "a.obj", *asset)
    file = folder / ("a.obj" if place == "mtllib" else "a.mtl")
    lines = [f"{place} ../b.png" if line.startswith(place) else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    with pytest.raises(ExchangeError, match=r"a\.obj.*outside its folder"):
        read_asset(folder / "a.obj")


@pytest.mark.parametrize("face, vertex", [("1 2 9", 9), ("1/1 2/1 9/1", 9), ("1 2 3\nf -9 1 2", -9)])
def test_a_face_that_names_a_missing_vertex_is_told(tmp_path, face, vertex):
    path = tmp_path / "a.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf {face}\n")
    with pytest.raises(ExchangeError, match=rf"a\.obj: a face names vertex {vertex} but there are 3;"):
        read_mesh(path)


def test_missing_unreadable_truncated_and_unknown_files_are_named(asset, tmp_path):
    path = tmp_path / "asset.glb"
    write_glb(path, *asset)
    whole = path.read_bytes()
    for name, content in {
        "cut.glb": whole[: len(whole) // 2],
        "header.glb": whole[:10],
        "text.gltf": b"{not json",
        "list.gltf": b"[]",
        "empty.obj": b"",
        "points.obj": b"v 0 0 0\nv 1 0 0\n",
        "index.obj": b"v 0 0 0\nf 1 2 3\n",
        "broken.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 3\n",
        "nan.obj": b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "asset.fbx": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ExchangeError, match=name.replace(".", r"\.")) as told:
            read_asset(tmp_path / name)
        assert "unpack" not in str(told.value) and ";" in str(told.value), "what is wrong, and what to do"
    with pytest.raises(ExchangeError, match="missing"):
        read_asset(tmp_path / "missing.glb")
    broken = whole.replace(b"\x89PNG", b"\x89PNX")
    path.write_bytes(broken)
    with pytest.raises(ExchangeError, match=r"asset\.glb.*baseColorTexture"):
        read_asset(path)
    (tmp_path / "away.gltf").write_text(json.dumps({"asset": {"version": "2.0"}, "buffers": [{"uri": "gone.bin"}]}))
    with pytest.raises(ExchangeError, match=r"away\.gltf.*gone\.bin"):
        read_asset(tmp_path / "away.gltf")


def test_a_plain_mesh_is_grey_and_half_rough(asset, tmp_path):
    write_obj(tmp_path / "a.obj", Mesh(asset[0].vertices, asset[0].triangles), Material())
    lines = (tmp_path / "a.obj").read_text().splitlines()
    (tmp_path / "plain.obj").write_text("\n".join(line for line in lines if "mtl" not in line))
    _, material = read_asset(tmp_path / "plain.obj")
    np.testing.assert_array_equal(material.base_color, Material().base_color)
    np.testing.assert_array_equal(material.occlusion_roughness_metallic, Material().occlusion_roughness_metallic)
