"""The renderer of finished assets draws what the material says, and the export check sees what files lose."""

from dataclasses import replace

import numpy as np
import pytest

from engine.exchange import AssetRenderer, check_export, render_asset, turntable, write_glb, write_obj
from engine.exchange.check import FAULT_BELOW
from engine.scene import Environment, Material, Mesh
from engine.scene.conventions import rotation_between

UP = np.array([0.0, 0, 1])


@pytest.fixture(scope="module")
def cameras(asset):
    return turntable(asset[0].box, UP, 3, (96, 96))


def test_an_exported_glb_renders_as_the_asset_in_memory(asset, environment, cameras, tmp_path):
    write_glb(tmp_path / "asset.glb", *asset, UP)
    assert check_export(tmp_path / "asset.glb", *asset, environment, cameras) > 45


def test_an_exported_obj_renders_as_the_asset_in_memory(asset, environment, cameras, tmp_path):
    mesh, material = asset
    packed = material.occlusion_roughness_metallic.copy()
    packed[..., 0] = 1  # OBJ has no occlusion
    material = replace(material, occlusion_roughness_metallic=packed)
    write_obj(tmp_path / "asset.obj", mesh, material)
    assert check_export(tmp_path / "asset.obj", mesh, material, environment, cameras) > 45


@pytest.mark.parametrize(
    "fault", ["roughness and metallic swapped", "colour not encoded", "normals flipped", "v flipped"]
)
def test_the_check_sees_a_wrong_file(asset, environment, cameras, tmp_path, fault):
    mesh, material = asset
    wrong_mesh, wrong = mesh, material
    if fault == "roughness and metallic swapped":
        wrong = replace(material, occlusion_roughness_metallic=material.occlusion_roughness_metallic[..., [0, 2, 1]])
    elif fault == "colour not encoded":
        wrong = replace(material, base_color=material.base_color**2.2)
    elif fault == "normals flipped":
        wrong = replace(material, normal=material.normal * np.float32([1, -1, 1]))
    else:
        wrong_mesh = replace(mesh, uvs=mesh.uvs * np.float32([1, -1]) + np.float32([0, 1]))
    write_glb(tmp_path / "asset.glb", wrong_mesh, wrong, UP)
    assert check_export(tmp_path / "asset.glb", mesh, material, environment, cameras) < FAULT_BELOW


def test_maps_show_the_material(asset, cameras):
    mesh = Mesh(asset[0].vertices, asset[0].triangles)
    material = Material(np.float32([[[0.1, 0.2, 0.3]]]), np.float32([[[0.9, 0.4, 0.7]]]))
    maps = AssetRenderer(mesh, material).render_maps(cameras[0])
    inside = maps.alpha == 1
    assert set(np.unique(maps.alpha)) == {0.0, 1.0}
    for values, expected in ((maps.base_color, [0.1, 0.2, 0.3]), (maps.occlusion, 0.9), (maps.roughness, 0.4)):
        np.testing.assert_allclose(values[inside], np.broadcast_to(expected, values[inside].shape), atol=1e-6)
        assert not values[~inside].any()
    np.testing.assert_allclose(np.linalg.norm(maps.normal[inside], axis=-1), 1, atol=1e-5)
    origin, directions = cameras[0].rays()
    points = origin + directions[inside] * (maps.depth[inside] / (directions[inside] @ cameras[0].forward))[:, None]
    level = np.linalg.norm(points / [1.2, 1, 0.8], axis=1)  # on the ellipsoid, but for its facets and open poles
    assert np.percentile(np.abs(level - 1), 90) < 0.03


def test_normal_maps_tilt_toward_u_and_up_in_the_image():
    vertices = np.float32([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    triangles = np.int32([[0, 1, 2], [0, 2, 3]])
    camera = turntable(np.array([[-1.0, -1, -0.5], [1, 1, 0.5]]), np.array([0.0, 1, 0]), 1, (32, 32), elevation=0)[0]
    upright = np.float32([[0, 1], [1, 1], [1, 0], [0, 0]])
    tilt = np.float32([0.48, 0.6, 0.64])
    for uvs, expected in ((upright, tilt), (upright * np.float32([-1, 1]) + np.float32([1, 0]), tilt * [-1, 1, 1])):
        material = Material(normal=np.broadcast_to(tilt, (4, 4, 3)).copy())
        maps = AssetRenderer(Mesh(vertices, triangles, uvs, triangles), material).render_maps(camera)
        np.testing.assert_allclose(maps.normal[16, 16], expected, atol=1e-5)


def test_textures_are_looked_up_with_the_origin_at_the_top():
    vertices = np.float32([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    triangles = np.int32([[0, 1, 2], [0, 2, 3]])
    mesh = Mesh(vertices, triangles, np.float32([[0, 1], [1, 1], [1, 0], [0, 0]]), triangles)
    texture = np.zeros((8, 8, 3), np.float32)
    texture[:4, :4] = [1, 0, 0]
    camera = turntable(np.array([[-1.0, -1, -0.5], [1, 1, 0.5]]), np.array([0.0, 1, 0]), 1, (64, 64), elevation=0)[0]
    seen = AssetRenderer(mesh, Material(texture)).render_maps(camera).base_color
    assert seen[24, 24, 0] > 0.95 and seen[24, 40].max() < 0.05 and seen[40, 24].max() < 0.05


def test_silhouettes_are_antialiased_and_colour_is_premultiplied(asset, environment, cameras):
    color, alpha = render_asset(*asset, environment, cameras[0])
    assert color.dtype == alpha.dtype == np.float32 and color.shape == (96, 96, 3)
    partial = (alpha > 0.02) & (alpha < 0.98)
    assert partial.sum() > 60
    assert not color[alpha == 0].any()
    straight = color[partial] / alpha[partial][:, None]
    inside = color[alpha == 1]
    assert straight.max() < 1.5 * inside.max()


def test_a_light_that_turns_with_the_camera_looks_the_same_in_camera_axes(asset, environment, cameras):
    mesh = Mesh(asset[0].vertices, asset[0].triangles)
    camera = cameras[0]
    in_camera = Environment(environment.radiance, rotation_between([0, 1.0, 0], [0, -1.0, 0.3]), "camera")
    in_world = Environment(environment.radiance, camera.world_from_camera[:3, :3] @ in_camera.world_from_environment)
    first, _ = render_asset(mesh, Material(), in_camera, camera)
    second, _ = render_asset(mesh, Material(), in_world, camera)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_maps_alone_need_no_light(asset, cameras):
    with pytest.raises(ValueError, match="environment"):
        AssetRenderer(*asset).render(cameras[0])


def test_every_rasterizer_draws_the_same_asset(asset, environment, cameras):
    (first, first_alpha), (second, second_alpha) = (
        render_asset(*asset, environment, cameras[1], name) for name in ("numba", "reference")
    )
    assert np.mean((first - second) ** 2) < 1e-6
    assert np.abs(first_alpha - second_alpha).max() < 0.01
