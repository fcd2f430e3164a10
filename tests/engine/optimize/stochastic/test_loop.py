"""The loop as a whole: it converges, repeats bit for bit, resumes, and survives bad shading and lost devices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import CaptureError, DeviceError, GeometryError, RecipeError, ShaderError
from engine.geometry.large_steps import LargeSteps
from engine.kernels.webgpu import Gpu, gpu
from engine.optimize.stochastic import GroupOptions, LoopOptions, LoopScene, LoopView, StochasticLoop
from engine.optimize.stochastic.options import GROUPS
from engine.optimize.stochastic.solver import LargeStepsSolver
from engine.optimize.stochastic.topology import degrees, neighbours
from engine.raster.stochastic.recursive import RecursiveEstimate
from engine.scene import Environment
from tests.engine.optimize.stochastic.loop_scenes import (
    blotches,
    bumpy,
    bumpy_loop,
    cameras,
    globe_scene,
    pictures,
    sphere_scene,
    sunny,
    texture_of,
)


@pytest.fixture(scope="module")
def device() -> Gpu:
    return gpu()


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_solver_agrees_with_the_exact_one(device):
    scene = sphere_scene(3)
    count, smoothness = len(scene.vertices), 19.0
    table = neighbours(scene.triangles, count)
    largest = int(degrees(table, count).max())
    right = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    buffers = [device.buffer(right), device.buffer(right.nbytes), device.buffer(right.nbytes)]
    exact = LargeSteps(scene.triangles, count, smoothness, np.arange(count)).solve(right[:, :3])
    errors = []
    for iterations in (1, 20, 80):
        solver = LargeStepsSolver(device, device.buffer(table), count, largest, smoothness, iterations)
        encoder = device.encoder()
        compute_pass = encoder.begin_compute_pass()
        solution = solver.encode(compute_pass, *buffers)
        compute_pass.end()
        device.submit(encoder)
        found = device.read(solution, np.float32, (count, 4))[:, :3]
        errors.append(np.abs(found - exact).max() / np.abs(exact).max())
    assert errors[2] < 1e-4 and errors[0] > errors[1] > errors[2]


def test_vertices_approach_the_bumpy_sphere(device):
    loop = bumpy_loop(device, steps=120, seed=1)
    before = loop.psnr()
    loop.step(120)
    assert loop.psnr() > before + 4
    found = loop.vertices()
    radius = np.linalg.norm(found, axis=1)
    wanted = np.linalg.norm(bumpy(found / radius[:, None]), axis=1)
    assert np.abs(radius - wanted).mean() < 0.5 * np.abs(1 - wanted).mean()
    assert np.isfinite(loop.loss())


def test_texture_is_found_on_known_geometry(device):
    wanted = globe_scene(texture_of(blotches(64)))
    views = pictures(device, wanted, cameras(6, 64), "flat_color", "base_color")
    start = replace(wanted, texture=texture_of(np.full((64, 64, 3), 0.5)))
    quick = {"base_color": GroupOptions(0.05, 0.06, rate_end=0.006, beta1=0.5, beta2=0.99)}
    options = LoopOptions(order=("base_color",), tone="linear", steps=150, groups=quick)
    loop = StochasticLoop(device, start, views, options, "flat_color")
    loop.step(150)
    assert loop.psnr() > 50  # no noise is left: every pixel's slopes are known
    assert np.array_equal(loop.texture()[..., 3:], start.texture[..., 3:])  # nothing else moved


def test_light_and_materials_are_found_under_physically_based_shading(device):
    wanted = replace(globe_scene(texture_of(blotches(32))), environment=sunny())
    views = pictures(device, wanted, cameras(6, 64), "pbr", "base_color")
    grey = replace(wanted, environment=Environment(np.full((8, 16, 3), 0.8, np.float32)))
    loop = StochasticLoop(device, grey, views, LoopOptions(order=("environment",), steps=100), "pbr")
    before = loop.psnr()
    loop.step(100)
    assert loop.psnr() > before + 6
    rough = replace(wanted, texture=texture_of(blotches(32), 0.7, 0.05))
    loop = StochasticLoop(device, rough, views, LoopOptions(order=("roughness_metallic",), steps=100), "pbr")
    before = loop.psnr()
    loop.step(100)
    assert loop.psnr() > before + 8


def test_poses_are_found_for_a_known_scene(device):
    scene = globe_scene(texture_of(blotches(64)))
    views = pictures(device, scene, cameras(4, 64), "flat_color", "base_color")
    random = np.random.default_rng(0)
    shaken = []
    for view in views:
        pose = view.camera.world_from_camera.copy()
        pose[:3, 3] += 0.05 * random.normal(size=3)
        shaken.append(replace(view, camera=replace(view.camera, world_from_camera=pose)))
    loop = StochasticLoop(
        device, scene, shaken, LoopOptions(order=("camera_pose",), tone="linear", steps=160), "flat_color"
    )
    before = loop.psnr()
    loop.step(160)
    assert loop.psnr() > before + 2.5
    for camera in loop.cameras():
        rotation = camera.world_from_camera[:3, :3]
        assert np.abs(rotation.T @ rotation - np.eye(3)).max() < 1e-5


TOGETHER = ("vertices", "base_color", "environment", "camera_pose")


def together(device: Gpu, order: tuple[str, ...]) -> StochasticLoop:
    tangents = np.tile(np.float32([1, 0, 0, 1]), (17 * 33, 1))
    scene = replace(globe_scene(texture_of(blotches(32))), environment=sunny(), tangents=tangents)
    scene = replace(scene, tangent_triangles=scene.triangles)
    views = pictures(device, replace(scene, vertices=bumpy(scene.vertices)), cameras(3, 64), "pbr", "base_color")
    return StochasticLoop(device, scene, views, LoopOptions(order=order, steps=60, seed=5), "pbr")


@pytest.mark.parametrize(
    "order", [TOGETHER, pytest.param(("roughness_metallic", "normal_map"), marks=pytest.mark.slow)]
)
def test_runs_repeat_and_resume_bit_for_bit(device, order):
    first, second = together(device, order), together(device, order)
    first.step(12)
    middle = first.state()
    image = first.preview(first.views[0].camera)  # looking changes nothing
    first.step(13)
    second.step(25)
    assert same(first.state(), second.state())
    second.restore(middle)
    assert np.array_equal(second.preview(first.views[0].camera), image)
    second.step(13)
    assert same(first.state(), second.state())
    third = together(device, order)
    third.restore(middle)  # as after a restart
    third.step(13)
    assert same(first.state(), third.state())
    for name in order:
        keys = {
            "vertices": "vertices.positions",
            "environment": "environment.radiance",
            "camera_pose": "camera_pose.views",
        }
        key = keys.get(name, "texture")
        assert not np.array_equal(middle[key], first.state()[key])


def test_recursive_estimates_are_those_of_the_definition_and_resume(device):
    loop = bumpy_loop(device, subdivisions=2, views=2, recursion=0.2)
    plain = bumpy_loop(device, subdivisions=2, views=2)
    reference = RecursiveEstimate(0.2)

    def sampled(points: torch.Tensor) -> torch.Tensor:
        state = plain.state() | {"vertices.positions": points.numpy(), "largest": np.zeros_like(state_of["largest"])}
        plain.restore(state)
        return torch.from_numpy(plain.gradient("vertices", loop.index % 2, loop.index))

    for _ in range(5):
        loop.gpu.write(loop.memory.largest, np.zeros((len(GROUPS), 2), np.float32))  # the same fixed point everywhere
        state_of = loop.state()
        expected = reference.update(torch.from_numpy(loop.vertices()), sampled).numpy()
        loop.advance("vertices", loop.index % 2)
        found = loop.state()["vertices.estimate"][:, :3]
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    other = bumpy_loop(device, subdivisions=2, views=2, recursion=0.2)
    other.restore(loop.state())
    for each in (loop, other):
        each.step(3)
    assert same(loop.state(), other.state())


def test_a_recursive_estimate_is_less_noisy_where_steps_are_short(device):
    slow = {"vertices": GroupOptions(0.4, 1e-4)}
    loop = bumpy_loop(device, subdivisions=2, views=1, recursion=0.05, groups=slow)
    mean = np.mean([loop.gradient("vertices", 0, index) for index in range(1000, 1300)], 0)
    single = loop.gradient("vertices", 0, 3)
    loop.step(80)
    found = loop.state()["vertices.estimate"][:, :3]
    assert np.linalg.norm(found - mean) < 0.4 * np.linalg.norm(single - mean)


def test_every_view_is_taken_once_per_round():
    loop = StochasticLoop.__new__(StochasticLoop)
    loop.options, loop.views = LoopOptions(seed=3), [None] * 7
    rounds = [[loop.view_of("vertices", 7 * epoch + i) for i in range(7)] for epoch in range(4)]
    assert all(sorted(order) == list(range(7)) for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1


def test_a_user_shader_is_optimized_through_and_its_errors_name_its_line(device):
    toon = """// Provides: shade, three tones by the direction of the normal.
#include surface
fn shade(surface: Surface) -> vec3f {
    let level = floor(3.0 * (0.5 * surface.normal.z + 0.5)) / 3.0;
    return vec3f(level, 0.3, 1.0 - level);
}
"""
    scene = sphere_scene(3)
    views = pictures(device, replace(scene, vertices=bumpy(scene.vertices)), cameras(6, 64), toon)
    loop = StochasticLoop(device, scene, views, LoopOptions(tone="linear", steps=100), toon)
    before = loop.psnr()
    loop.step(100)
    assert loop.psnr() > before + 1
    broken = toon.replace("floor(3.0", "flour(3.0")
    with pytest.raises(ShaderError, match="shading, line 4"):
        StochasticLoop(device, scene, views, LoopOptions(), broken)


HELD = """// Provides: shade, NaN where a value lies outside [0,1].
#include surface
fn shade(surface: Surface) -> vec3f {
    let others = vec3f(surface.roughness, surface.metallic, surface.occlusion);
    let below = sqrt(surface.base_color) + sqrt(others);
    return below + sqrt(vec3f(1.0) - surface.base_color) - sqrt(vec3f(1.0) - others);
}
"""


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("group", ["base_color", "roughness_metallic"])
def test_a_shading_is_never_given_values_outside_their_range(device, group, value):
    texture = texture_of(np.full((64, 64, 3), value), value, value)
    scene = globe_scene(texture)
    views = pictures(device, globe_scene(texture_of(np.full((64, 64, 3), 0.5), 0.5, 0.5)), cameras(2, 64), HELD, group)
    loop = StochasticLoop(device, scene, views, LoopOptions(order=(group,), tone="linear"), HELD)
    loop.step(4)
    assert device.read(loop.memory.sums, np.uint32, 1)[0] == 0
    channels = slice(0, 3) if group == "base_color" else slice(3, 5)
    moved = np.abs(loop.texture() - texture)[..., channels]
    assert (moved > 0.01).mean() > 0.3  # away from the border, where only one of the two sides differs


@pytest.mark.parametrize("tone", ["linear", "log"])  # log's max() swallows NaN
def test_a_shader_that_returns_nan_is_reported_and_stepped_back_from(device, tone):
    shading = """// Provides: shade, NaN on one side.
#include surface
fn shade(surface: Surface) -> vec3f {
    return vec3f(sqrt(surface.normal.z), 0.5, 0.5);
}
"""
    scene = sphere_scene(2)
    views = pictures(device, scene, cameras(2, 64), "normal_color")
    heard: list[str] = []
    options = LoopOptions(tone=tone, check_every=5)
    loop = StochasticLoop(device, scene, views, options, shading, notify=heard.append)
    with pytest.raises(DeviceError, match="3 times in a row"):
        loop.step(100)
    assert len(heard) == 2 and "NaN or infinity" in heard[0]
    assert np.isfinite(loop.vertices()).all()
    assert np.array_equal(loop.vertices(), scene.vertices)  # of the last good state


def test_a_lost_device_is_recovered_from_the_last_state(device):
    own = Gpu()
    lost, kept = bumpy_loop(own, subdivisions=2, views=3), bumpy_loop(device, subdivisions=2, views=3)
    heard: list[str] = []
    lost.notify = heard.append
    lost.step(60)
    own.destroy()
    lost.step(20)
    kept.step(80)
    assert same(lost.state(), kept.state())
    assert len(heard) == 1 and "new device" in heard[0]


def test_a_device_lost_after_a_resume_goes_back_to_what_was_resumed():
    first = bumpy_loop(Gpu(), subdivisions=2, views=3)
    first.step(7)
    kept = first.state()
    own = Gpu()
    second = bumpy_loop(own, subdivisions=2, views=3)
    second.restore(kept)
    own.destroy()
    assert np.array_equal(second.vertices(), first.vertices())  # not the untrained start
    for loop in (first, second):
        loop.step(5)
    assert same(first.state(), second.state())


def test_a_device_lost_at_a_read_is_recovered_with_all_steps(device, monkeypatch):
    monkeypatch.setattr("engine.optimize.stochastic.loop.shared_gpu", Gpu)  # one of its own for each read to lose
    kept = bumpy_loop(device, subdivisions=2, views=3, check_every=4)
    camera = kept.views[0].camera
    reads = (
        lambda loop: loop.loss(),
        lambda loop: loop.vertices(),
        lambda loop: loop.preview(camera),
        lambda loop: loop.psnr(),
        lambda loop: loop.state()["vertices.positions"],
    )
    for steps in (4, 6):  # right after a look at the counters, and between two
        for view in range(kept.index, steps):
            kept.advance("vertices", view % 3)
        lost = bumpy_loop(Gpu(), subdivisions=2, views=3, check_every=4)
        for view in range(steps):
            lost.advance("vertices", view % 3)
        for read in reads:
            lost.gpu.destroy()
            assert np.array_equal(read(lost), read(kept))
        assert lost.index == steps and same(lost.state(), kept.state())


def test_tangents_are_part_of_the_state_and_survive_a_lost_device(device):
    own = Gpu()
    lost, other = bumpy_loop(own, subdivisions=2, views=2), bumpy_loop(device, subdivisions=2, views=2)
    tangents = np.float32([[0, 1, 0, -1]])
    lost.set_tangents(tangents)
    own.destroy()
    other.restore(lost.state())
    for loop in (lost, other):
        assert np.array_equal(loop.tangents(), tangents)
        assert np.array_equal(loop.gpu.read(loop.memory.moved, np.float32, (1, 4), 96 * loop.memory.stride), tangents)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vertices": np.zeros((9, 4), np.float32)}, r"vertices of shape \[9, 4\]; they must be \[N,3\]"),
        ({"triangles": np.int32([[0, 1, 5000]])}, "triangles from 0 to 5000 into"),
        ({"triangles": np.int32([[0, 1, -1]])}, "triangles from -1 to 1 into"),
        ({"triangles": np.float32([[0, 1, 2]])}, "give integers"),
        ({"uvs": np.zeros((4, 3), np.float32)}, r"uvs of shape \[4, 3\]"),
        ({"uv_triangles": np.int32([[0, 1, 2]])}, "1 uv_triangles for 1024 triangles"),
        ({"tangents": np.full((4, 4), np.nan, np.float32)}, "tangents that are not finite"),
        ({"texture": np.zeros((4, 4, 7), np.float32)}, r"texture of shape \[4, 4, 7\]"),
        ({"texture": np.full((4, 4, 8), 2, np.float32)}, "lies from 2 to 2; clip"),
        ({"texture": np.full((4, 4, 8), np.nan, np.float32)}, "texture with values that are not finite"),
        ({"environment": Environment(np.full((4, 8, 3), np.inf, np.float32))}, "light that is not finite"),
    ],
)
def test_a_scene_that_does_not_fit_together_is_told(change, said):
    with pytest.raises(GeometryError, match=said):
        replace(globe_scene(texture_of(np.full((8, 8, 3), 0.5))), **change)


def test_a_photo_that_is_none_is_told_by_its_name_and_not_blamed_on_the_shading():
    camera = cameras(1, 8)[0]
    color, alpha = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32)
    broken = color.copy()
    broken[3, 5, 1] = np.nan
    with pytest.raises(
        CaptureError, match="view_07 has colours with NaN or infinity in 1 pixels, the first in row 3, col"
    ):
        LoopView(camera, broken, alpha, "view_07")
    with pytest.raises(CaptureError, match="a mask with NaN"):
        LoopView(camera, color, broken[..., 1])
    with pytest.raises(CaptureError, match=r"colours of shape \[8, 7, 3\], and its camera sees \[8, 8, 3\]"):
        LoopView(camera, color[:, :7], alpha)
    with pytest.raises(CaptureError, match="a mask from 0 to 255"):
        LoopView(camera, color, alpha + np.float32([0, 255] * 4))


def test_impossible_requests_say_what_to_do(device):
    scene = sphere_scene(2)
    views = pictures(device, scene, cameras(2, 64))
    with pytest.raises(CaptureError, match="no photos"):
        StochasticLoop(device, scene, [])
    with pytest.raises(RecipeError, match="needs a texture"):
        StochasticLoop(device, scene, views, LoopOptions(order=("base_color",)), "flat_color")
    with pytest.raises(RecipeError, match="needs a light"):
        StochasticLoop(device, scene, views, LoopOptions(order=("environment",)), "normal_color")
    with pytest.raises(RecipeError, match="reads the light"):
        StochasticLoop(device, scene, views, LoopOptions(), "pbr")
    with pytest.raises(RecipeError, match="no group 'vertex'"):
        LoopOptions(order=("vertex",))
    with pytest.raises(RecipeError, match="out of range"):
        GroupOptions(0.0, 0.1)
    with pytest.raises(GeometryError, match="empty mesh"):
        LoopScene(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    with pytest.raises(GeometryError, match="not finite"):
        replace(scene, vertices=np.full((3, 3), np.nan, np.float32))
