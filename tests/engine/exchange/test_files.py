"""OBJ, PLY, HDR, PNG and films come back as they went out, and a failing disk leaves what was there."""

import errno
import os

import imageio_ffmpeg
import numpy as np
import pytest
import trimesh
from PIL import Image

from engine.errors import ExchangeError
from engine.exchange import (
    read_asset,
    read_environment,
    read_hdr,
    read_mesh,
    turntable,
    write_environment,
    write_glb,
    write_hdr,
    write_obj,
    write_ply,
    write_png,
    write_video,
)
from engine.exchange.atomic import AtomicFiles
from engine.exchange.hdr import reduced
from engine.scene import Environment, Material, Mesh
from engine.scene.conventions import rotation_between
from engine.scene.environment import direction_of_texel, texel_solid_angle


def test_obj_round_trip_with_its_textures_beside_it(asset, tmp_path):
    mesh, material = asset
    write_obj(tmp_path / "my asset.obj", mesh, material)
    assert {file.name for file in tmp_path.iterdir()} == {
        "my asset.obj",
        "my_asset.mtl",
        "my_asset_base_color.png",
        "my_asset_roughness.png",
        "my_asset_metallic.png",
        "my_asset_normal.png",
    }
    again, read = read_asset(tmp_path / "my asset.obj")
    assert len(again.vertices) == len(mesh.vertices) and len(again.triangles) == len(mesh.triangles)
    # trimesh reorders faces: compare the corners as a set
    ours, back = (
        np.concatenate([m.vertices[m.triangles], m.uvs[m.uv_triangles]], -1).reshape(-1, 15) for m in (mesh, again)
    )
    np.testing.assert_allclose(np.sort(back.round(4), 0), np.sort(ours.round(4), 0), atol=2e-4)
    np.testing.assert_allclose(read.base_color, material.base_color, atol=0.005)
    np.testing.assert_allclose(
        read.occlusion_roughness_metallic[..., 1:], material.occlusion_roughness_metallic[..., 1:], atol=0.002
    )
    assert (read.normal * material.normal).sum(-1).min() > 0.9999


def test_obj_without_coordinates_keeps_its_factors(asset, tmp_path):
    mesh = Mesh(asset[0].vertices, asset[0].triangles)
    material = Material(np.float32([[[0.02, 0.3, 0.9]]]), np.float32([[[1, 0.37, 0.81]]]))
    write_obj(tmp_path / "a.obj", mesh, material)
    again, read = read_asset(tmp_path / "a.obj")
    assert len(again.vertices) == len(mesh.vertices)
    np.testing.assert_allclose(read.base_color, material.base_color, atol=1e-5)
    np.testing.assert_allclose(read.occlusion_roughness_metallic, material.occlusion_roughness_metallic, atol=1e-5)


def test_ply_is_binary_and_keeps_the_geometry(asset, tmp_path):
    mesh = asset[0]
    write_ply(tmp_path / "mesh.ply", mesh)
    assert b"format binary_little_endian 1.0" in (tmp_path / "mesh.ply").read_bytes()[:200]
    again = read_mesh(tmp_path / "mesh.ply")
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.triangles, mesh.triangles)
    (read,) = trimesh.load_scene(tmp_path / "mesh.ply", process=False).geometry.values()
    np.testing.assert_allclose(read.vertex_normals, mesh.vertex_normals(), atol=1e-6)


def test_hdr_keeps_radiance_to_half_a_step_over_many_orders(tmp_path):
    rng = np.random.default_rng(0)
    radiance = (10 ** rng.uniform(-3, 4, (16, 32, 1)) * rng.uniform(0.5, 1, (16, 32, 3))).astype(np.float32)
    write_hdr(tmp_path / "light.hdr", radiance)
    error = (read_hdr(tmp_path / "light.hdr") - radiance) / radiance.max(-1, keepdims=True)
    assert np.abs(error).max() < 1 / 250
    assert abs(error.mean()) < 2e-4  # no bias
    write_hdr(tmp_path / "dark.hdr", np.zeros((4, 8, 3), np.float32))
    assert read_hdr(tmp_path / "dark.hdr").max() == 0


def test_exported_light_surrounds_the_exported_mesh(tmp_path):
    up = np.array([0.0, 0, 1])
    turn = rotation_between(np.array([0, 1.0, 0]), np.array([0.6, 0.48, 0.64]))
    sun = np.array([0.48, 0.64, 0.6])  # in the world
    height, width = 64, 128
    in_world = direction_of_texel(height, width) @ turn.T
    light = np.exp(30 * (in_world @ sun - 1))[..., None] * np.ones(3)
    write_environment(tmp_path / "light.hdr", Environment(light.astype(np.float32), turn), up)
    read = read_environment(tmp_path / "light.hdr", up)
    brightest = np.unravel_index(read.radiance[..., 0].argmax(), (height, width))
    found = read.world_from_environment @ direction_of_texel(height, width)[brightest]
    assert np.degrees(np.arccos(found @ sun)) < 3
    in_world = direction_of_texel(height, width) @ read.world_from_environment.T
    expected = np.exp(30 * (in_world @ sun - 1))
    np.testing.assert_allclose(read.radiance[..., 0], expected, atol=0.03)


def test_reducing_a_light_keeps_its_power():
    radiance = np.random.default_rng(2).random((48, 96, 3)).astype(np.float32) ** 8
    small = reduced(radiance, 16)
    assert small.shape == (16, 32, 3) and reduced(small, 16) is small
    power, before = (
        (light * texel_solid_angle(*light.shape[:2])[..., None]).sum((0, 1)) for light in (small, radiance)
    )
    np.testing.assert_allclose(power, before, rtol=1e-5)


@pytest.mark.parametrize("content", [b"", b"#?RADIANCE\nrubbish", b"\x89PNG"])
def test_broken_hdr_is_named(tmp_path, content):
    (tmp_path / "light.hdr").write_bytes(content)
    with pytest.raises(ExchangeError, match="light.hdr"):
        read_hdr(tmp_path / "light.hdr")
    with pytest.raises(ExchangeError, match="missing.hdr"):
        read_hdr(tmp_path / "missing.hdr")


def test_a_turntable_sees_the_whole_box_from_every_side():
    box, up = np.array([[1.0, 2, 3], [3, 3, 7]]), np.array([0.0, 0, 1])
    cameras = turntable(box, up, 8, (90, 120))
    corners = np.stack(np.meshgrid(*box.T, indexing="ij"), -1).reshape(-1, 3)
    for camera in cameras:
        pixels, depth = camera.project(corners)
        assert depth.min() > 0
        assert pixels.min() >= 0 and (pixels <= [120, 90]).all()
        above, _ = camera.project(box.mean(0)[None] + up)
        assert above[0, 1] < 45  # up is up in the image
    positions = np.array([camera.position for camera in cameras])
    np.testing.assert_allclose(positions.mean(0)[:2], box.mean(0)[:2], atol=1e-9)


def test_a_film_has_its_frames(tmp_path):
    frames = [np.full((33, 47, 3), 20 * i, np.uint8) for i in range(6)]
    write_video(tmp_path / "film.mp4", iter(frames), 12)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    information = next(reader)
    levels = [np.frombuffer(frame, np.uint8).mean() for frame in reader]
    assert information["size"] == (48, 34) and information["fps"] == 12
    np.testing.assert_allclose(levels, [20 * i for i in range(6)], atol=4)
    with pytest.raises(ExchangeError, match="none.mp4"):
        write_video(tmp_path / "none.mp4", [])
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


def test_png_round_trip(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    write_png(tmp_path / "deep" / "er" / "image.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "deep" / "er" / "image.png")), image)


@pytest.mark.parametrize("writer", ["glb", "obj", "ply", "hdr", "png", "mp4"])
def test_a_full_disk_leaves_what_was_there(asset, tmp_path, monkeypatch, writer):
    path = tmp_path / f"asset.{writer}"
    path.write_bytes(b"old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExchangeError, match=f"asset.*{writer}|asset.*png.*disk is full"):
        match writer:
            case "glb":
                write_glb(path, *asset)
            case "obj":
                write_obj(path, *asset)
            case "ply":
                write_ply(path, asset[0])
            case "hdr":
                write_hdr(path, np.ones((4, 8, 3), np.float32))
            case "png":
                write_png(path, np.zeros((4, 4, 3), np.uint8))
            case "mp4":
                write_video(path, [np.zeros((16, 16, 3), np.uint8)] * 2)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_made_for_a_failing_write_are_taken_away(tmp_path):
    with pytest.raises(KeyboardInterrupt), AtomicFiles() as files:
        files.write(tmp_path / "a" / "b" / "c.bin", b"data")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_film_cut_short_is_not_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda _path: (1, 0.1))
    with pytest.raises(ExchangeError, match=r"film\.mp4.*1 of 2 frames.*disk"):
        write_video(tmp_path / "film.mp4", [np.zeros((16, 16, 3), np.uint8)] * 2)
    assert list(tmp_path.iterdir()) == []
