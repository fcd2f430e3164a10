"""Captures with known truth: that they can be read, and that their truth explains their pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from engine.capture import CaptureOptions, open_capture
from engine.errors import Cancelled, ExchangeError
from engine.exchange.glb import write_glb
from engine.exchange.hdr import read_hdr, write_hdr
from engine.exchange.read import read_mesh
from engine.exchange.synthesize import synthesize
from engine.raster.rays import RayCaster
from engine.scene.conventions import gltf_from_capture
from engine.scene.environment import Environment, direction_of_texel
from engine.scene.mesh import Material, Mesh
from engine.shading.monte_carlo import MonteCarlo


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """(mesh file, light file): a ring off the origin in its own scale, and a sky with a lamp."""
    folder = tmp_path_factory.mktemp("inputs")
    ring = trimesh.creation.torus(20.0, 8.0, major_sections=24, minor_sections=12)
    ring.apply_translation([100, 50, -30])
    ring.export(folder / "ring.obj", include_normals=False)
    lamp = np.exp((direction_of_texel(16, 32) @ np.array([0.6, 0.64, 0.48]) - 1) * 20)
    write_hdr(folder / "sky.hdr", (3 + 40 * lamp[..., None]).repeat(3, -1).astype(np.float32))
    return folder / "ring.obj", folder / "sky.hdr"


@pytest.fixture(scope="module")
def folder(inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "capture"
    told = []
    synthesize(*inputs, out, views=17, size=32, samples=32, seed=1, progress=lambda *step: told.append(step))
    assert told[-1][:2] == (17, 17)
    return out


def test_the_capture_can_be_opened(folder):
    capture = open_capture(folder, CaptureOptions())
    assert len(capture.frames) == 17 and len(capture.test) == 3 and len(capture.train) == 14
    assert capture.has_masks and not capture.warnings
    assert capture.up.tolist() == [0, 1, 0] and "transforms_t" in capture.up_source
    for index in range(17):
        pixels = capture.pixels(index)
        assert pixels.color.shape == (32, 32, 3) and 0.05 < pixels.mask.mean() < 0.6


def test_the_mesh_keeps_its_frame_and_scale(folder, inputs):
    written, given = read_mesh(folder / "truth" / "mesh.ply"), read_mesh(inputs[0])
    assert np.allclose(written.box, given.box, atol=1e-4) and np.array_equal(written.triangles, given.triangles)


def test_the_masks_are_those_of_the_true_mesh(folder):
    capture, mesh = open_capture(folder, CaptureOptions()), read_mesh(folder / "truth" / "mesh.ply")
    caster = RayCaster(mesh.vertices, mesh.triangles)
    for index in range(len(capture.frames)):
        origin, direction = capture.frames[index].camera.resized(128, 128).rays()
        hit = caster.first_hit(np.broadcast_to(origin, (128 * 128, 3)), direction.reshape(-1, 3))[0] >= 0
        share = hit.reshape(32, 4, 32, 4).mean((1, 3))
        assert np.abs(share - capture.pixels(index).mask).mean() < 0.01
        assert not (share[0].any() or share[-1].any() or share[:, 0].any() or share[:, -1].any())  # all in the picture


def test_views_surround_the_object_and_every_8th_is_for_testing(folder):
    capture, mesh = open_capture(folder, CaptureOptions()), read_mesh(folder / "truth" / "mesh.ply")
    direction = np.array([frame.camera.position for frame in capture.frames]) - mesh.box.mean(0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    assert direction[:, 1].min() < -0.9 and direction[:, 1].max() > 0.9
    assert np.linalg.norm(direction.mean(0)) < 0.1
    names = {json.loads((folder / "transforms_test.json").read_text())["frames"][i]["file_path"] for i in range(3)}
    assert names == {"./test/r_000", "./test/r_008", "./test/r_016"}


def test_the_true_light_and_material_explain_the_pictures(folder):
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    mesh, light = read_mesh(folder / "truth" / "mesh.ply"), read_hdr(folder / "truth" / "environment.hdr")
    capture = open_capture(folder, CaptureOptions())
    scene = MonteCarlo(mesh, Material(), Environment(light, np.array(truth["world_from_environment"])))
    for index in capture.test:
        color, alpha = scene.render(capture.frames[index].camera, 512, seed=77)
        pixels = capture.pixels(index)
        full = (alpha > 0.999) & (pixels.mask > 0.999)
        assert np.median(np.abs(color[full] - pixels.color[full])) < 0.03  # 32 samples are noisy
        assert color[full].mean() == pytest.approx(pixels.color[full].mean(), rel=0.02)


def test_few_pixels_clip_and_few_are_wasted(folder):
    pictures = [np.asarray(Image.open(path)) for path in sorted(folder.glob("t*/r_*.png")) if "truth" not in str(path)]
    values = np.concatenate([picture[picture[..., 3] == 255][:, :3].max(-1) for picture in pictures])
    assert 0.8 * 255 < np.percentile(values, 99) < 255 and (values == 255).mean() < 0.02


def test_untextured_meshes_are_grey_with_roughness_one_half(folder):
    base = np.asarray(Image.open(folder / "truth" / "r_008_base_color.png"))
    inside = base[..., 3] == 255
    assert (base[inside][:, :3] == 188).all() and not base[base[..., 3] == 0].any()  # linear 0.5 is sRGB 188
    assert (np.asarray(Image.open(folder / "truth" / "r_008_roughness.png"))[inside] == 128).all()
    assert not np.asarray(Image.open(folder / "truth" / "r_008_metallic.png")).any()


def test_the_light_is_scaled_by_the_stated_exposure(folder, inputs):
    exposure = json.loads((folder / "transforms_train.json").read_text())["exposure"]
    assert np.allclose(read_hdr(folder / "truth" / "environment.hdr"), exposure * read_hdr(inputs[1]), rtol=0.02)


def test_the_same_seed_gives_the_same_files(inputs, tmp_path):
    for name in ("a", "b"):
        synthesize(*inputs, tmp_path / name, views=2, size=16, samples=4, seed=3)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 10
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_textures_are_seen(tmp_path, inputs):
    corners = np.array([[-1, 0, 1], [1, 0, 1], [1, 0, -1], [-1, 0, -1]], np.float32)
    uvs = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    index = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    red = Material(np.full((4, 4, 3), (0.8, 0.1, 0.1), np.float32), np.full((4, 4, 3), (1, 0.25, 1.0), np.float32))
    write_glb(tmp_path / "red.glb", Mesh(corners, index, uvs, index), red, np.array([0.0, 1, 0]), "red")
    out = synthesize(tmp_path / "red.glb", inputs[1], tmp_path / "out", views=4, size=16, samples=16)
    base = np.asarray(Image.open(out / "truth" / "r_000_base_color.png"))
    inside = base[..., 3] > 200
    assert inside.any() and np.abs(base[inside][:, :3] - np.array([231.0, 89, 89])).max() < 4
    assert np.abs(np.asarray(Image.open(out / "truth" / "r_000_roughness.png"))[inside] - 64.0).max() < 2


def test_what_cannot_be_made_is_said_and_leaves_nothing(inputs, tmp_path):
    mesh, sky = inputs
    square, black = tmp_path / "square.hdr", tmp_path / "black.hdr"
    write_hdr(square, np.ones((8, 8, 3), np.float32))
    write_hdr(black, np.zeros((8, 16, 3), np.float32))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep.txt").write_text("mine")
    out = tmp_path / "out"
    for arguments, message in (
        ((tmp_path / "missing.obj", sky, out), "missing.obj"),
        ((mesh, tmp_path / "missing.hdr", out), "missing.hdr"),
        ((mesh, square, out), "twice as wide"),
        ((mesh, black, out), "black"),
        ((mesh, sky, tmp_path / "full"), "not empty"),
        ((mesh, sky, square), "is a file"),
        ((mesh, sky, out, 1), "views is 1"),
        ((mesh, sky, out, 2, 4), "size is 4"),
        ((mesh, sky, out, 2, 16, 0), "samples is 0"),
    ):
        with pytest.raises(ExchangeError, match=message):
            synthesize(*arguments)
        assert not out.exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["keep.txt"]


def test_stopping_leaves_nothing(inputs, tmp_path):
    asked = iter([False] * 10 + [True] * 1000)
    with pytest.raises(Cancelled):
        synthesize(*inputs, tmp_path / "out", views=9, size=16, samples=4, cancelled=lambda: next(asked))
    assert not (tmp_path / "out").exists()


def test_our_own_file_of_a_capture_with_another_up_gives_the_same_pictures(inputs, tmp_path):
    ring, up = read_mesh(inputs[0]), np.array([0.0, 0.0, 1.0])
    turned = Mesh((ring.vertices @ gltf_from_capture(up)).astype(np.float32), ring.triangles)
    write_glb(tmp_path / "y.glb", ring, Material())
    write_glb(tmp_path / "z.glb", turned, Material(), up)
    for name in "yz":
        synthesize(tmp_path / f"{name}.glb", inputs[1], tmp_path / name, views=5, size=16, samples=128)
    captures = [open_capture(tmp_path / name, CaptureOptions()) for name in "yz"]
    assert [capture.up.tolist() for capture in captures] == [[0, 1, 0], [0, 0, 1]]
    for index in range(5):
        of_y, of_z = (capture.pixels(index) for capture in captures)
        assert np.abs(of_y.mask - of_z.mask).mean() < 0.01
        # directions are drawn in another order, so noise differs
        assert np.abs(of_y.color - of_z.color).mean() < 0.05 * of_y.color.std()
    written = json.loads((tmp_path / "z" / "truth" / "truth.json").read_text())
    assert written["up"] == "+z" and np.allclose(np.array(written["world_from_environment"])[:, 1], up)
    assert np.allclose(read_mesh(tmp_path / "z" / "truth" / "mesh.ply").box, turned.box)
