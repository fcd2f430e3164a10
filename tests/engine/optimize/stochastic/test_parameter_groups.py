"""Textures, light and poses: what a step perturbs, credits and moves, against NumPy and torch on the same numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from engine.kernels.signs import sign_key, signs
from engine.kernels.webgpu import Gpu, gpu
from engine.optimize.stochastic import LoopOptions, LoopView, StochasticLoop
from engine.optimize.stochastic.memory import SUMS_HEAD, VIEW, encoded_photo
from engine.optimize.stochastic.options import GROUPS
from engine.raster.stochastic.credit import fixed_difference
from engine.raster.stochastic.pixel_credit import WAYS
from engine.raster.texture import build_pyramid
from engine.scene.camera import look_at
from engine.shading.prefilter import prefilter
from tests.engine.optimize.stochastic.loop_scenes import blotches, globe_scene, sunny, texture_of

SIZE = (64, 48)  # height and width of the photos
CHANNELS = {"base_color": slice(0, 3), "roughness_metallic": slice(3, 5), "normal_map": slice(5, 7)}
TEXTURE = (8, 16)  # texels


@pytest.fixture(scope="module")
def device() -> Gpu:
    return gpu()


def scene(size: tuple[int, int] = TEXTURE) -> Any:
    random = np.random.default_rng(1)
    texture = texture_of(blotches(max(size))[: size[0], : size[1]], 0.5, 0.4)
    texture[..., 3:7] += random.uniform(-0.2, 0.2, (*size, 4)).astype(np.float32)
    made = globe_scene(texture)
    tangents = random.normal(size=(len(made.vertices), 3))
    tangents -= (tangents * made.vertices).sum(1, keepdims=True) * made.vertices
    tangents = np.concatenate(
        [tangents / np.linalg.norm(tangents, axis=1, keepdims=True), np.ones((len(tangents), 1))], 1
    )
    return replace(made, tangents=tangents.astype(np.float32), tangent_triangles=made.triangles, environment=sunny())


def loop_of(device: Gpu, group: str, shading: str = "pbr", made: Any = None, **options) -> StochasticLoop:
    """A loop that moves one group toward random photos, seen from the side."""
    made, (height, width) = made or scene(), SIZE
    camera = look_at(np.array([2.0, 1.5, 1.0]), np.zeros(3), np.array([0.0, 0, 1]), 60.0, width, height)
    random = np.random.default_rng(2)
    photo = LoopView(camera, random.random((*SIZE, 3), np.float32), np.ones(SIZE, np.float32))
    return StochasticLoop(device, made, [photo], LoopOptions(order=(group,), **options), shading)


def drawn_signs(loop: StochasticLoop, group: str, rows: int, columns: int) -> np.ndarray:
    return signs(sign_key(loop.options.seed, loop.index, GROUPS[group]), rows, columns)


def reach(loop: StochasticLoop, group: str) -> tuple[float, float]:
    """(eps, rate) of the next step."""
    return loop.options.groups[group].at(loop.index / loop.options.steps)


def losses_of(loop: StochasticLoop, image: np.ndarray) -> np.ndarray:
    """[H,W] the loss of an image [H,W,4] of linear radiance and coverage."""
    view, tone = loop.views[0], loop.options.tone
    shown = encoded_photo(LoopView(view.camera, image[..., :3], image[..., 3]), tone)
    error = shown - encoded_photo(view, tone)
    return np.abs(error[..., :3]).mean(-1) + loop.options.mask * error[..., 3] ** 2


def seen_losses(loop: StochasticLoop, group: str) -> np.ndarray:
    """[H,W,2] what the next step compares, without moving anything."""
    loop.counts[group] += 1
    loop._tell(group, 0)
    loop.counts[group] -= 1
    loop.gpu.submit(loop._encoded(loop.groups[group], 0, update=False))
    return loop.gpu.read(loop.memory.losses, np.float32, (*SIZE, 2))


# -- what is perturbed


@pytest.mark.parametrize("group", CHANNELS)
def test_a_step_sees_the_texture_moved_to_the_corners_of_a_tetrahedron(device, group):
    inside = replace(LoopOptions().groups[group], eps=0.05, eps_end=0.05)  # of all channels' ranges
    loop = loop_of(device, group, groups={group: inside})
    found, texture, part = seen_losses(loop, group), loop.texture(), CHANNELS[group]
    corners = []
    for way in WAYS:
        values = texture.copy()
        values[..., part] += 0.05 * way[: part.stop - part.start]
        loop.memory.texture.write(values)
        corners.append(losses_of(loop, loop.preview(loop.views[0].camera)))
    for side in (0, 1):
        expected = (corners[2 * side] + corners[2 * side + 1]) / 2
        assert np.abs(found[..., side] - expected).max() < 2e-5
    assert np.abs(found[..., 0] - found[..., 1]).max() > 0.004


def test_a_step_sees_the_lights_blurs_moved_by_their_signs(device):
    loop = loop_of(device, "environment")
    found, (eps, _) = seen_losses(loop, "environment"), reach(loop, "environment")
    buffer, count = loop.light.light.texels, loop.light.light.table
    texels = device.read(buffer, np.float32, (count, 4))
    moved = eps * drawn_signs(loop, "environment", count, 3)
    for side, sign in enumerate((1, -1)):
        values = texels.copy()
        values[:, :3] *= 1 + sign * moved
        device.write(buffer, values)
        expected = losses_of(loop, loop.preview(loop.views[0].camera))
        assert np.abs(found[..., side] - expected).max() < 2e-5
    assert np.abs(found[..., 0] - found[..., 1]).max() > 0.01


def test_a_step_sees_the_camera_moved_by_its_signs(device):
    loop = loop_of(device, "camera_pose", "flat_color", made=scene((64, 64)))
    found, (eps, _), camera = seen_losses(loop, "camera_pose"), reach(loop, "camera_pose"), loop.views[0].camera
    turn, shift = drawn_signs(loop, "camera_pose", 2, 3)
    distance, angle = np.linalg.norm(camera.position), eps / np.sqrt(np.prod(camera.focal))
    still = losses_of(loop, loop.preview(camera))
    for side, sign in enumerate((1, -1)):
        motion = np.eye(4)
        motion[:3, :3] = Rotation.from_rotvec(sign * angle * turn).as_matrix()
        motion[:3, 3] = sign * angle * distance * shift
        pose = np.linalg.inv(motion @ camera.camera_from_world)
        expected = losses_of(loop, loop.preview(replace(camera, world_from_camera=pose)))
        error, change = np.abs(found[..., side] - expected), np.abs(still - expected)
        assert np.quantile(error, 0.98) < 0.1 * np.quantile(change, 0.98)  # a finite motion, and few pixels' triangles


# -- what is credited

READING = """// Provides: shade, texels of the light at places that the pixel tells.
#include surface
#include environment
fn shade(surface: Surface) -> vec3f {
    let x = u32(surface.pixel.x);
    let y = u32(surface.pixel.y);
    var sum = light_texel((7u * x + 13u * y) % COUNTu) + 0.5 * light_texel((5u * x + y) % COUNTu);
    if (x % 3u == 0u) {
        sum += 0.25 * light_texel((7u * x + 13u * y) % COUNTu);
    }
    if (x % 3u == 1u) {
        sum += 0.25 * light_texel((5u * x + y) % COUNTu);
    }
    for (var k = 0u; k < 40u && y == 20u; k++) { // more than can be listed
        sum += 0.01 * light_texel(k);
    }
    return 0.2 * sum;
}
"""


def test_light_credit_is_each_texel_read_once_and_pixels_with_too_many_are_left_out(device):
    count = loop_of(device, "environment").light.light.table
    loop = loop_of(device, "environment", READING.replace("COUNT", str(count)))
    losses = seen_losses(loop, "environment")
    words = device.read(loop.memory.sums, np.float32, SUMS_HEAD)
    fixed = fixed_difference(losses[..., 0].copy(), losses[..., 1].copy(), float(words[6]), float(words[5]))
    covered = loop.preview(loop.views[0].camera)[..., 3] > 0
    expected = np.zeros(count, np.int64)
    for y, x in np.argwhere(covered & (np.arange(SIZE[0])[:, None] != 20)):
        for texel in {(7 * x + 13 * y) % count, (5 * x + y) % count}:
            expected[texel] += fixed[y, x]
    found = device.read(loop.memory.sums, np.int32, count, 4 * SUMS_HEAD)
    assert covered[20].any() and np.abs(expected).max() > 1000
    assert np.array_equal(found, expected)


# -- what is moved


def credited_step(loop: StochasticLoop, group: str, sums: np.ndarray, scale: float, levels: int = 0) -> float:
    """Move a group as if a step had left `sums` of fixed-point `scale`; returns what turns sums into slopes."""
    loop.counts[group] += 1
    loop._tell(group, 0)
    head = np.zeros(SUMS_HEAD, np.int32)
    head[2] = levels
    head.view(np.float32)[5] = scale
    loop.gpu.write(loop.memory.sums, np.concatenate([head, sums.astype(np.int32)]))
    encoder = loop.gpu.encoder()
    compute_pass = encoder.begin_compute_pass()
    loop.groups[group].encode(compute_pass, 0)
    compute_pass.end()
    loop.gpu.submit(encoder)
    loop.index += 1
    return 0.5 / (loop.options.groups[group].at((loop.index - 1) / loop.options.steps)[0] * scale * SIZE[0] * SIZE[1])


class Adam:
    """Adam's moments and the change of one step; a row that a mask leaves out keeps its own."""

    def __init__(self, loop: StochasticLoop, group: str, shape: tuple[int, ...]) -> None:
        self.settings = loop.options.groups[group]
        self.first, self.second = np.zeros(shape), np.zeros(shape)
        self.times = np.zeros((*shape[:-1], 1))

    def change(self, slope: np.ndarray, rate: float, moved: np.ndarray) -> np.ndarray:
        beta1, beta2, rows = self.settings.beta1, self.settings.beta2, moved[..., None]
        self.times += rows
        self.first = np.where(rows, beta1 * self.first + (1 - beta1) * slope, self.first)
        self.second = np.where(rows, beta2 * self.second + (1 - beta2) * slope**2, self.second)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, square = self.first / (1 - beta1**self.times), self.second / (1 - beta2**self.times)
            return np.where(rows & (square > 0), rate * mean / np.sqrt(square), 0)


@pytest.mark.parametrize("group", CHANNELS)
def test_texels_move_by_the_adjoint_of_their_pyramid_and_adam(device, group):
    loop, part, random = loop_of(device, group), CHANNELS[group], np.random.default_rng(4)
    sizes, count = loop.memory.levels, part.stop - part.start
    adam, values = Adam(loop, group, (*TEXTURE, count)), loop.texture().astype(np.float64)
    lowest = {"base_color": 0, "roughness_metallic": (0.05, 0), "normal_map": -1.5}[group]
    highest = 1.5 if group == "normal_map" else 1
    assert len(sizes) == 5 and sizes[-1] == (1, 1)
    for step in range(4):
        read = [level for level in range(len(sizes)) if level != step]  # what others left in the rest does not count
        sums = random.integers(-5000, 5000, (loop.memory.texels, 3))
        sums[random.random(len(sums)) < 0.9] = 0
        sums[-2], sums[-1] = 0, 1000 * (step == 3)  # above all texels: until then some are left alone
        sums[:, count:] = 0
        _, rate = reach(loop, group)
        factor = credited_step(loop, group, sums.ravel(), 4096.0, sum(1 << level for level in read))
        still = torch.zeros(*TEXTURE, count, dtype=torch.float64, requires_grad=True)
        start, incoming, touched = 0, [], np.zeros(TEXTURE, bool)
        for level, (height, width) in enumerate(sizes):
            own = sums[start : start + height * width] * (level in read)
            slopes = own[:, :count].reshape(height, width, count)
            incoming.append(torch.from_numpy(np.float64(slopes) * factor))
            blocks = (TEXTURE[0] // height, TEXTURE[1] // width)
            touched |= np.kron(own.any(1).reshape(height, width), np.ones(blocks, bool))
            start += height * width
        pyramid = build_pyramid(still)
        torch.autograd.backward(pyramid, incoming)
        values[..., part] -= adam.change(still.grad.numpy(), rate, touched)
        values[..., part] = np.clip(values[..., part], lowest, highest)
        assert np.abs(loop.texture() - values).max() < 2e-5
        kept = loop.groups[group].state()
        for name, wanted in (("mean", adam.first), ("square", adam.second)):
            found = kept[name][:, :count].reshape(wanted.shape)
            assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert {1, 2, 3} <= set(np.unique(adam.times))


def test_the_light_moves_by_the_adjoint_of_its_blurs_and_adam(device):
    loop, random, group = loop_of(device, "environment"), np.random.default_rng(5), "environment"
    count, radiance = loop.light.light.table, loop.radiance().astype(np.float64)
    adam = Adam(loop, group, radiance.shape)
    for _ in range(3):
        sums = random.integers(-5000, 5000, count)
        texels = device.read(loop.light.light.texels, np.float32, (count, 4))[:, :3].astype(np.float64)
        _, rate = reach(loop, group)
        drawn = drawn_signs(loop, group, count, 3)
        factor = credited_step(loop, group, sums, 4096.0)
        slopes = sums[:, None] * drawn * factor / np.maximum(texels, 1e-6)
        light = torch.from_numpy(radiance).requires_grad_()
        padded = prefilter(light).padded[..., :3]
        padded.backward(torch.from_numpy(slopes.reshape(padded.shape)))
        change = adam.change(light.grad.numpy() * radiance, rate, np.ones(radiance.shape[:2], bool))
        radiance = np.clip(radiance * np.exp(-change), 1e-4, 1e5)
        assert np.abs(np.log(loop.radiance() / radiance)).max() < 1e-4
        moments = device.read(loop.groups[group]._moments, np.float32, (*radiance.shape, 2))
        assert np.abs(moments[..., 0] - adam.first).max() < 1e-4 * np.abs(adam.first).max()
        assert np.abs(moments[..., 1] - adam.second).max() < 1e-4 * adam.second.max()


def test_a_pose_moves_by_turns_and_shifts_along_its_axes_and_adam(device):
    loop, random, group = loop_of(device, "camera_pose"), np.random.default_rng(6), "camera_pose"
    camera = loop.views[0].camera
    pose, adam = camera.camera_from_world.copy(), Adam(loop, group, (1, 6))
    unit = 1 / np.sqrt(np.prod(camera.focal))
    distance = np.linalg.norm(camera.position - loop.memory.sphere[0])
    for _ in range(3):
        sums = random.integers(-5000, 5000, SIZE[0])
        _, rate = reach(loop, group)
        drawn = drawn_signs(loop, group, 2, 3).reshape(1, 6)
        factor = credited_step(loop, group, sums, 4096.0)
        change = adam.change(sums.sum() * drawn * factor, 20 * rate, np.ones(1, bool))[0] / 20
        turn = Rotation.from_rotvec(-unit * change[:3]).as_matrix()
        pose[:3] = turn @ pose[:3]
        pose[:3, 3] -= unit * distance * change[3:]
        found = loop.groups[group].camera_from_world()[0]
        assert np.abs(found - pose).max() < 2e-6
        rows = loop.groups[group].state()["moments"][0, :64].copy().view(np.float32).reshape(4, 4)[:, :3]
        assert np.allclose(rows.reshape(2, 6), np.concatenate([adam.first, adam.second]), rtol=1e-4)
        record = device.read(loop.memory.views, np.uint8, VIEW.itemsize).view(VIEW)
        assert np.abs(record["position"][0] + pose[:3, :3].T @ pose[:3, 3]).max() < 1e-5
        moved = loop.cameras()[0]
        assert np.abs(moved.position + pose[:3, :3].T @ pose[:3, 3]).max() < 1e-5
    assert np.abs(pose - camera.camera_from_world).max() > 1e-3
