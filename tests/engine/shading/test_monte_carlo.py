"""Monte Carlo shading against what is known in closed form, and its three ways of sampling against each other."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.errors import Cancelled
from engine.scene.camera import look_at
from engine.scene.environment import Environment, direction_of_texel
from engine.scene.mesh import Material, Mesh
from engine.shading.albedo import average_albedo, specular_albedo
from engine.shading.monte_carlo import MonteCarlo, corner_normals, primary_grid, render
from engine.shading.monte_carlo_kernels import evaluate_many
from engine.shading.monte_carlo_light import LightSampler


def filled(base=(0.5, 0.5, 0.5), roughness=0.5, metallic=0.0) -> Material:
    return Material(np.full((1, 1, 3), base, np.float32), np.array([[[1, roughness, metallic]]], np.float32))


def ball(level: int = 4) -> Mesh:
    sphere = trimesh.creation.icosphere(level)
    return Mesh(sphere.vertices.astype(np.float32), sphere.faces.astype(np.int32))


def square(height: float = 0.0, half: float = 1.0) -> Mesh:
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * half + [0, 0, height]
    return Mesh(corners.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32))


def camera(position=(0, 0.5, 4), size: int = 24, focal: float = 30.0):
    return look_at(np.array(position, float), np.zeros(3), np.array([0, 1.0, 0]), focal, size, size)


def constant(value: float = 1.0) -> Environment:
    return Environment(np.full((8, 16, 3), value, np.float32))


def uneven() -> Environment:
    """A dim sky with a bright, small but smooth lamp."""
    d = direction_of_texel(32, 64)
    lamp = np.exp((d @ np.array([0.6, 0.64, 0.48]) - 1) * 60)
    return Environment((0.2 + 8 * lamp[..., None] * [1.0, 0.9, 0.7]).astype(np.float32))


@pytest.mark.parametrize("roughness", [0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_furnace_returns_the_tabulated_albedo_and_never_more(roughness, metallic):
    """A white ball in uniform light reflects the specular albedo and, where not metal, all that this leaves over."""
    color, alpha = render(ball(), filled((1, 1, 1), roughness, metallic), constant(), camera(), 256, seed=1)
    full = alpha > 0.999
    reflected = color[full].mean(-1)
    assert reflected.max() < 1.03  # noise aside
    middle = (color / np.maximum(alpha, 1e-6)[..., None])[10:14, 10:14].mean()
    scale, bias = specular_albedo()[round(roughness * 63), 63]
    expected = scale + bias if metallic else 1.0
    assert middle == pytest.approx(expected, abs=0.02)


def test_irradiance_is_the_integral_over_the_map():
    """A grey square under an uneven sky, seen from above, against the sum of BRDF, cosine and radiance over texels."""
    environment, roughness = uneven(), 0.7
    eye = np.array([0.3, 0.2, 4.0])
    view = look_at(eye, np.zeros(3), np.array([0, 1.0, 0]), 400, 4, 4)
    color, _ = render(square(), filled((0.7, 0.4, 0.2), roughness), environment, view, 4096, seed=2)
    light = direction_of_texel(256, 512).reshape(-1, 3)
    sampler = LightSampler.of(environment)
    radiance = bilinear(sampler.padded, 256, 512)
    solid = (2 * np.pi / 512) * np.diff(-np.cos(np.linspace(0, np.pi, 257))).repeat(512)
    count = len(light)
    out = np.empty((count, 3))
    evaluate_many(
        np.tile([0.0, 0, 1], (count, 1)), np.tile(eye / np.linalg.norm(eye), (count, 1)), light,
        np.tile([0.7, 0.4, 0.2], (count, 1)), np.full(count, roughness), np.zeros(count), specular_albedo(),
        average_albedo(), out,
    )  # fmt: skip
    expected = (out * radiance * solid[:, None]).sum(0)
    assert np.allclose(color.mean((0, 1)), expected, rtol=0.01)


def bilinear(padded: np.ndarray, height: int, width: int) -> np.ndarray:
    """[height*width,3] radiance of a padded map at the texel centres of a finer one."""
    source_height, source_width = padded.shape[0] - 2, padded.shape[1] - 2
    y = (np.arange(height) + 0.5) / height * source_height + 0.5
    x = (np.arange(width) + 0.5) / width * source_width + 0.5
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]
    top = padded[y0][:, x0] * (1 - fx) + padded[y0][:, x0 + 1] * fx
    bottom = padded[y0 + 1][:, x0] * (1 - fx) + padded[y0 + 1][:, x0 + 1] * fx
    return (top * (1 - fy) + bottom * fy).reshape(-1, 3)


def test_the_brdf_is_that_of_the_torch_reference():
    torch = pytest.importorskip("torch")
    from engine.shading.brdf import evaluate

    rng = np.random.default_rng(5)
    normal, view, light = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(3, 4000, 3)))
    base, roughness, metallic = rng.random((4000, 3)), rng.random(4000), rng.random(4000)
    out = np.empty((4000, 3))
    evaluate_many(normal, view, light, base, roughness, metallic, specular_albedo(), average_albedo(), out)
    expected = evaluate(*(torch.from_numpy(a) for a in (normal, view, light, base, roughness, metallic))).numpy()
    assert (out > 0).any() and np.allclose(out, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("roughness", "metallic"), [(0.5, 1.0), (0.6, 0.0)])
def test_both_ways_of_sampling_agree_with_their_combination(roughness, metallic):
    scene = MonteCarlo(ball(3), filled((0.8, 0.6, 0.4), roughness, metallic), uneven())
    view = camera(size=16, focal=20)
    both, light, brdf = (scene.render(view, 4096, 3, strategy)[0] for strategy in ("both", "light", "brdf"))
    assert np.allclose(both.mean((0, 1)), light.mean((0, 1)), rtol=0.01)
    assert np.allclose(both.mean((0, 1)), brdf.mean((0, 1)), rtol=0.01)


@pytest.mark.parametrize("roughness", [0.15, 0.6])
def test_the_combination_is_no_noisier_than_either_way(roughness):
    scene = MonteCarlo(ball(3), filled((0.8, 0.6, 0.4), roughness, 0.5), uneven())
    view = camera(size=24)
    truth = scene.render(view, 4096, 9)[0]
    error = {name: ((scene.render(view, 64, 4, name)[0] - truth) ** 2).mean() for name in ("both", "light", "brdf")}
    assert error["both"] < 1.1 * min(error["light"], error["brdf"])


def test_a_roof_casts_a_shadow():
    floor, roof = square(0, 2.0), square(0.5, 0.5)
    both = Mesh(np.concatenate([floor.vertices, roof.vertices]), np.concatenate([floor.triangles, roof.triangles + 4]))
    zenith = np.zeros((16, 32, 3), np.float32)
    zenith[:4] = 3.0
    environment = Environment(zenith, np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))  # the map's +Y is the world's +z
    view = look_at(np.array([2.2, 0, 1.6]), np.zeros(3), np.array([0, 0, 1.0]), 60, 64, 64)
    bright = render(floor, filled(), environment, view, 64)[0]
    shaded = render(both, filled(), environment, view, 64)[0]
    ratio = shaded.mean(-1) / np.maximum(bright.mean(-1), 1e-6)
    assert (ratio < 0.35).sum() > 40  # under the roof
    assert ratio[-4:].min() > 0.85  # far from it
    assert bright.mean(-1).max() > 0.3


def test_the_rotation_of_the_light_turns_the_picture():
    d = direction_of_texel(32, 64)
    side = Environment(np.maximum(d[..., :1], 0).repeat(3, -1).astype(np.float32))  # light from +X
    front = Environment(side.radiance, np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]))  # its +X is the world's +z
    for environment, brightest in ((side, np.array([1.0, 0, 0])), (front, np.array([0.0, 0, 1]))):
        scene = MonteCarlo(ball(3), filled(), environment)
        for position in (4 * brightest, -4 * brightest):
            color, _ = scene.render(camera(position), 64)
            assert (color.max() > 0.2) == bool(position @ brightest > 0)


def test_light_that_turns_with_the_camera_gives_the_same_picture_from_everywhere():
    light = Environment(uneven().radiance, np.eye(3), "camera")
    scene = MonteCarlo(ball(4), filled(roughness=0.4), light)
    first, second = (scene.render(camera(p), 512)[0] for p in ((0, 0, 4), (4, 0, 0)))
    assert np.abs(first - second).mean() < 0.01 and first.mean() > 0.02


def test_the_same_seed_gives_the_same_bits_however_the_work_is_cut(monkeypatch):
    scene = MonteCarlo(ball(2), filled(), uneven())
    first = scene.render(camera(), 32, seed=5)
    monkeypatch.setattr("engine.shading.monte_carlo.CHUNK", 3000)
    again, other = scene.render(camera(), 32, seed=5), scene.render(camera(), 32, seed=6)
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_alpha_is_the_covered_share_of_the_pixel():
    """A square from x = -1 to 1 seen straight on: 1 unit is 9.25 pixels, so its rim covers a quarter of a pixel."""
    view = look_at(np.array([0, 0, 4.0]), np.zeros(3), np.array([0, 1.0, 0]), 37, 32, 32)
    _, alpha = render(square(), filled(), constant(), view, 1024)
    assert alpha[16, 16] == 1 and alpha[16, 5] == 0
    assert alpha[16, 6] == pytest.approx(0.25, abs=0.03) and alpha[6, 6] == pytest.approx(0.0625, abs=0.03)


def test_surface_maps_show_the_textures():
    checker = np.indices((8, 8)).sum(0) % 2
    material = Material(
        np.stack([checker, 1 - checker, 0 * checker], -1).repeat(4, 0).repeat(4, 1).astype(np.float32),
        np.array([[[1, 0.3, 1.0]]], np.float32),
    )
    flat = square()
    mesh = Mesh(flat.vertices, flat.triangles, np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32), flat.triangles)
    view = look_at(np.array([0, 0, 4.0]), np.zeros(3), np.array([0, 1.0, 0]), 64, 32, 32)  # 4 pixels per square
    maps = MonteCarlo(mesh, material, constant()).surface_maps(view)
    assert np.allclose(maps["alpha"], 1) and np.allclose(maps["normal"], [0, 0, 1], atol=1e-5)
    assert np.allclose(maps["roughness"], 0.3) and np.allclose(maps["metallic"], 1)
    inner = maps["base_color"][1::4, 1::4]  # away from the squares' rims; row 0 is the texture's top
    assert np.allclose(inner[..., 0], checker, atol=0.15) and np.allclose(inner[..., 1], 1 - checker, atol=0.15)


def test_a_normal_map_tilts_the_shading():
    flat = square()
    mesh = Mesh(flat.vertices, flat.triangles, np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32), flat.triangles)
    view = look_at(np.array([0, 0, 4.0]), np.zeros(3), np.array([0, 1.0, 0]), 32, 8, 8)
    for tilt in ([0.6, 0, 0.8], [0, 0.6, 0.8]):  # +x along u, +y up in the picture
        material = Material(normal=np.array([[tilt]], np.float32))
        maps = MonteCarlo(mesh, material, constant()).surface_maps(view)
        assert np.allclose(maps["normal"], tilt, atol=1e-4)


def test_creases_stay_sharp_and_the_rest_is_smooth():
    box = trimesh.creation.box()
    mesh = Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32))
    face = mesh.face_normals() / np.linalg.norm(mesh.face_normals(), axis=1, keepdims=True)
    assert np.allclose(corner_normals(mesh, 60), face[:, None], atol=1e-6)
    smooth = ball(3)
    assert np.allclose(corner_normals(smooth, 60), smooth.vertices[smooth.triangles], atol=0.02)


@pytest.mark.slow
def test_the_sample_captures_truth_explains_its_pictures():
    """Mitsuba's picture of the cup from below, where little light bounces, against ours of the true mesh and light."""
    import json

    from PIL import Image

    from assets import sample_capture
    from engine.exchange.hdr import read_hdr
    from engine.scene.camera import Camera
    from engine.scene.conventions import linear_to_srgb, pose_from_opengl
    from tests.tools.sample_cup import paint

    root = sample_capture()
    truth = json.loads((root / "truth" / "truth.json").read_text())
    frames = json.loads((root / "transforms_test.json").read_text())
    cup = trimesh.load(root / "truth" / truth["mesh"], process=False)
    count = len(cup.faces)
    side = int(np.ceil(np.sqrt(count)))  # one texel per triangle, painted as its centre
    texture = np.zeros((side * side, 6), np.float32)
    color, roughness, metallic = paint(cup.vertices[cup.faces].mean(1))
    texture[:count] = np.column_stack([color, np.ones(count), roughness, metallic])
    texel = np.arange(count)
    uvs = np.stack([(texel % side + 0.5) / side, (texel // side + 0.5) / side], -1).astype(np.float32)
    texture = texture.reshape(side, side, 6)
    mesh = Mesh(
        cup.vertices.astype(np.float32), cup.faces.astype(np.int32), uvs, texel[:, None].repeat(3, 1).astype(np.int32)
    )
    light = Environment(read_hdr(root / "truth" / truth["environment"]), np.array(truth["world_from_environment"]))
    frame = frames["frames"][-1]
    focal = 128 / np.tan(frames["camera_angle_x"] / 2)
    pose = pose_from_opengl(np.array(frame["transform_matrix"]))
    view = Camera(pose, (focal, focal), (128, 128), 256, 256).resized(64, 64)
    ours, alpha = MonteCarlo(mesh, Material(texture[..., :3], texture[..., 3:]), light).render(view, 256)
    photo = np.asarray(Image.open(root / f"{frame['file_path']}.png"), np.float64) / 255
    photo = photo.reshape(64, 4, 64, 4, 4).mean((1, 3))
    assert np.abs(alpha - photo[..., 3]).max() < 0.1
    full = alpha > 0.999
    difference = photo[full][:, :3] - linear_to_srgb(ours[full])
    assert np.median(np.abs(difference)) < 0.025 and abs(np.median(difference)) < 0.02


def test_light_densities_integrate_to_one():
    environment = uneven()
    sampler = LightSampler.of(environment)
    solid = 2 * np.pi / 64 * np.diff(-np.cos(np.linspace(0, np.pi, 33)))[:, None]
    assert (sampler.density * solid).sum() == pytest.approx(1) and sampler.density.min() > 0


def test_rays_through_a_pixel_are_a_quarter_of_the_samples():
    assert [primary_grid(n) for n in (1, 4, 16, 64, 256, 1024)] == [1, 2, 4, 4, 8, 16]


def test_rendering_can_be_stopped():
    with pytest.raises(Cancelled):
        MonteCarlo(ball(1), filled(), constant()).render(camera(), 4, cancelled=lambda: True)
