"""The loop's credit against the numba rules: the same sums for the same images, the same gradient from start to end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.geometry.normals import vertex_normals
from engine.kernels.signs import BASE_COLOR, VERTICES, sign_key, signs
from engine.kernels.webgpu import Gpu, gpu
from engine.kernels.wgsl import compose
from engine.optimize.stochastic import GroupOptions, LoopOptions, LoopView, StochasticLoop
from engine.optimize.stochastic.memory import SUMS_HEAD
from engine.raster import rasterizer
from engine.raster.stochastic.credit import fixed_difference, gradient
from engine.raster.stochastic.perturbation import vertex_eps
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.raster.texture import build_pyramid
from tests.engine.optimize.stochastic.loop_scenes import (
    blotches,
    bumpy_loop,
    cameras,
    globe_scene,
    pictures,
    texture_of,
)


@pytest.fixture(scope="module")
def device() -> Gpu:
    return gpu()


SIGNS = """// Provides: draw.
#include signs
@group(0) @binding(0) var<storage, read> key: array<u32>;
@group(0) @binding(1) var<storage, read_write> drawn: array<f32>;
@compute @workgroup_size(64)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    drawn[id.x] = sign_at(key[0], id.x);
}
"""


def test_signs_are_those_of_the_processor(device):
    key = sign_key(7, 123, BASE_COLOR)
    out = device.buffer(4 * 3 * 1024)
    pipeline = device.compute(compose("draw", sources={"draw": SIGNS}), "draw")
    encoder = device.encoder()
    device.dispatch(encoder, pipeline, [device.buffer(np.array([key], np.uint32)), out], 3 * 1024 // 64)
    device.submit(encoder)
    assert np.array_equal(device.read(out, np.float32, (1024, 3)), signs(key, 1024, 3))


def read_numbers(device: Gpu, visibility) -> np.ndarray:
    """[H,W] int32 of a visibility pass; its width times four must be a multiple of 256."""
    height, width = visibility.size
    buffer = device.buffer(4 * height * width)
    encoder = device.encoder()
    encoder.copy_texture_to_buffer(
        {"texture": visibility.numbers},
        {"buffer": buffer, "offset": 0, "bytes_per_row": 4 * width, "rows_per_image": height},
        (width, height, 1),
    )
    device.submit(encoder)
    return device.read(buffer, np.int32, (height, width))


def head(loop: StochasticLoop) -> tuple[float, float]:
    """(scale, largest difference credited) of the last step."""
    words = loop.gpu.read(loop.memory.sums, np.float32, SUMS_HEAD)
    return float(words[5]), float(words[6])


@pytest.mark.parametrize("smooth", [True, False])
def test_vertex_credit_equals_the_numba_rule_on_the_same_images(device, smooth):
    loop = bumpy_loop(device, smooth_normals=smooth)
    found = loop.gradient("vertices", 2, 5)
    size = loop.memory.sizes[2]
    plus, minus = (read_numbers(device, visibility) for visibility in loop.memory.passes[size])
    assert (plus != minus).mean() > 0.02  # the rule for different triangles is put to the test
    losses = device.read(loop.memory.losses, np.float32, (*size, 2))
    scale, bound = head(loop)
    make = Stencils.smooth if smooth else Stencils.flat
    rule = VertexCredit(plus, minus, make(loop.scene.triangles, len(loop.scene.vertices)))
    fixed = fixed_difference(losses[..., 0].copy(), losses[..., 1].copy(), bound, scale)
    camera = loop.views[2].camera
    eps = vertex_eps(torch.from_numpy(loop.scene.vertices), camera.clip_from_world(0.5, 6), size, loop_eps(loop))
    drawn = signs(sign_key(0, 5, VERTICES), rule.rows, 3)
    expected = gradient(rule.sums(fixed), scale, drawn, eps.numpy()) / (size[0] * size[1])
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def sum_scale(limit: float, pixels: int) -> float:
    """The largest power of two by which `pixels` differences of `limit` can be multiplied and summed in 32 bits."""
    return 2.0 ** np.floor(np.log2(((2**31 - 1) / pixels - 0.5) / limit))


def test_the_scale_follows_the_last_step_of_the_same_view_and_the_covered_pixels(device):
    """One view is nearly what its photo shows, the other is far from it."""
    loop = bumpy_loop(device, subdivisions=2, views=2, size=128, mask=0.0, loss="mse", limit=200.0)
    camera = loop.views[0].camera
    seen = loop.preview(camera)
    views = [LoopView(camera, seen[..., :3] + brighter * seen[..., 3:], seen[..., 3]) for brighter in (1e-4, 50)]
    loop = StochasticLoop(device, loop.scene, views, loop.options, "normal_color")
    largest = {}
    for view in (0, 1, 0, 1, 0):
        loop.advance("vertices", view)
        losses = device.read(loop.memory.losses, np.float32, (128, 128, 2))
        scale, limit = head(loop)
        assert limit == pytest.approx(min(4 * largest[view], 200.0) if view in largest else 200.0, rel=1e-6)
        largest[view] = float(np.abs(losses[..., 0] - losses[..., 1]).max())
        shown = [read_numbers(device, visibility) for visibility in loop.memory.passes[128, 128]]
        covered = int(((shown[0] > 0) | (shown[1] > 0)).sum())
        assert device.read(loop.memory.sums, np.int32, 1, 16)[0] == covered
        assert scale == sum_scale(limit, covered) > sum_scale(limit, 128 * 128)
    assert largest[1] > 100 * largest[0]


BANDS = 8  # of loop_work.wgsl


def test_covered_pixels_are_listed_once_with_those_of_two_triangles_in_front(device):
    """In a view whose rows end within a run, and one that is more than a row of work."""
    for size in (75, 400):
        loop = bumpy_loop(device, subdivisions=2, views=1, size=size)
        count = size * size
        device.write(loop.memory.losses, np.full((count, 2), -1, np.float32))
        loop.gradient("vertices", 0, 5)
        encoder = device.encoder()
        readbacks = [device.readback_image(encoder, side.numbers, np.int32) for side in loop.memory.passes[size, size]]
        device.submit(encoder)
        plus, minus = (readback.array().ravel() for readback in readbacks)
        differing = (plus != minus) & (plus > 0) & (minus > 0)
        others = ((plus > 0) | (minus > 0)) & ~differing
        words = device.read(loop.memory.sums, np.int32, SUMS_HEAD)
        assert words[4] == (differing | others).sum() and (words[4] > 1 << 16) == (size == 400)
        listed = device.read(loop.memory.covered, np.uint32, count)
        places = (listed >> 16) * size + (listed & 0xFFFF)
        rows = -(-size // BANDS)
        for band in range(BANDS):
            begin, end = band * rows * size, min((band + 1) * rows * size, count)
            first, last = begin + words[16 + band], end - words[24 + band]
            assert np.array_equal(np.sort(places[begin:first]), begin + np.flatnonzero(differing[begin:end]))
            assert np.array_equal(np.sort(places[last:end]), begin + np.flatnonzero(others[begin:end]))
        assert differing.sum() > 10
        assert (device.read(loop.memory.losses, np.float32, (count, 2)) >= 0).all()


def test_a_gradient_that_is_only_looked_at_changes_no_state(device):
    loop = bumpy_loop(device, subdivisions=2, views=2)
    loop.step(3)
    before = loop.state()
    loop.gradient("vertices", 1, 2)
    after = loop.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def loop_eps(loop: StochasticLoop) -> float:
    return loop.options.groups["vertices"].at(5 / loop.options.steps)[0]


@pytest.mark.parametrize(("view", "index"), [(0, 7), (1, 3), (2, 4)])
def test_gradient_equals_that_of_the_processor_from_start_to_end(device, view, index):
    """From vertices to gradient. Hardware snaps positions to 1/256 pixel before it decides which triangle a pixel
    shows, and that is all there is between the two: given positions so snapped, the processor finds the same gradient,
    but for a pixel where the snapping itself is a matter of rounding; there it is told the triangle."""
    loop = bumpy_loop(device, size=128, loss="mse")
    found = loop.gradient("vertices", view, index).ravel()
    size, camera = loop.memory.sizes[view], loop.views[view].camera
    matrix = torch.tensor(camera.clip_from_world(1, 5), dtype=torch.float32)
    vertices = torch.from_numpy(loop.scene.vertices)
    eps = vertex_eps(vertices, matrix, size, loop.options.groups["vertices"].at(index / loop.options.steps)[0])
    drawn = torch.from_numpy(signs(sign_key(0, index, VERTICES), len(vertices), 3))
    moved = [vertices + side * eps * drawn for side in (1, -1)]
    for snaps, least in ((False, 0.99), (True, 0.999)):
        drawings = [loss_and_ids(loop, view, points, matrix, snaps) for points in moved]
        assert cosine(found, credited_gradient(loop, drawings, drawn.numpy(), eps.numpy())) > least
    shown = [read_numbers(device, visibility) for visibility in loop.memory.passes[size]]
    losses = device.read(loop.memory.losses, np.float32, (*size, 2))
    told = 0
    for side, (loss, ids) in enumerate(drawings):
        other = shown[side] != ids
        told += int(other.sum())
        loss[other], ids[other] = losses[other, side], shown[side][other]
    assert told <= 3, "of thousands of pixels; which, is a matter of how the driver rounds"
    assert cosine(found, credited_gradient(loop, drawings, drawn.numpy(), eps.numpy())) > 0.999999


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def snapped(clip: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Clip positions [V,4] moved to whole 256ths of a pixel, as rasterization with 8 subpixel bits has them."""
    half = torch.tensor([size[1] / 2, size[0] / 2])
    places = torch.round(((clip[:, :2] * (1 / clip[:, 3:])) * half + half) * 256) / 256
    return torch.cat([(places / half - 1) * clip[:, 3:], clip[:, 2:]], 1)


def loss_and_ids(loop, view, moved, matrix, snaps: bool) -> tuple[np.ndarray, np.ndarray]:
    """(loss per pixel [H,W], triangle ids [H,W]) of moved vertices, all on the processor."""
    raster, triangles = rasterizer("numba"), torch.from_numpy(loop.scene.triangles)
    clip = moved @ matrix[:, :3].T + matrix[:, 3]
    size = loop.memory.sizes[view]
    buffer = raster.visibility(snapped(clip, size) if snaps else clip, triangles, size)
    normal = raster.interpolate(vertex_normals(moved, triangles), triangles, buffer)
    color = 0.5 * torch.nn.functional.normalize(normal, dim=1) + 0.5
    image = raster.compose(torch.cat([color, torch.ones(len(color), 1)], 1), buffer, torch.zeros(4)).numpy()
    error = ((image[..., :3] - loop.views[view].color) ** 2).mean(-1)
    error = error + loop.options.mask * (image[..., 3] - loop.views[view].alpha) ** 2
    return error.astype(np.float32), buffer.triangle_id.numpy().copy()


def credited_gradient(loop, drawings, drawn, eps) -> np.ndarray:
    (plus, ids_plus), (minus, ids_minus) = drawings
    rule = VertexCredit(ids_plus, ids_minus, Stencils.smooth(loop.scene.triangles, len(loop.scene.vertices)))
    scale, bound = head(loop)
    return gradient(rule.sums(fixed_difference(plus, minus, bound, scale)), scale, drawn, eps).ravel()


@pytest.mark.parametrize("mips", [False, True])
def test_texel_credit_is_the_adjoint_of_the_look_up_on_every_level(device, mips):
    scene = replace(globe_scene(texture_of(blotches(128 if mips else 32))), mips=mips)
    views = pictures(device, globe_scene(texture_of(blotches(64, 1))), cameras(3, 64), "flat_color", "base_color")
    inside = {"base_color": GroupOptions(0.05, 0.01)}  # of all colours' ranges
    options = LoopOptions(order=("base_color",), tone="linear", loss="mse", groups=inside)
    loop = StochasticLoop(device, scene, views, options, "flat_color")
    loop.counts["base_color"] = 1
    loop._tell("base_color", 0)
    device.submit(loop._encoded(loop.groups["base_color"], 0, update=False))
    scale, _ = head(loop)
    uv, level = (torch.from_numpy(np.float32(part)) for part in located(device, loop))
    covered = torch.isfinite(uv[..., 0])
    found = device.read(loop.memory.sums, np.int32, 3 * loop.memory.texels, 4 * SUMS_HEAD).reshape(-1, 3)
    texture = torch.from_numpy(scene.texture[..., :3].copy())
    pyramid = [part.requires_grad_() for part in (build_pyramid(texture) if mips else [texture])]
    shown = rasterizer("numba").texture(pyramid, uv[covered], level[covered])
    # of a square, differences between both sides of any width are its slope's
    (((shown - torch.from_numpy(views[0].color)[covered]) ** 2).sum() / 3).backward()
    start, most = 0, max(float(part.grad.abs().max()) for part in pyramid if part.grad is not None)
    for number, part in enumerate(pyramid):
        expected = np.zeros((part[..., 0].numel(), 3)) if part.grad is None else part.grad.numpy().reshape(-1, 3)
        slopes = found[start : start + len(expected)] / (2 * 0.05 * scale)
        assert np.abs(slopes - expected).max() <= 1e-4 * most, f"level {number}"
        start += len(expected)
    assert np.abs(found).max() > 100
    if mips:
        assert len(np.unique(np.floor(level[covered].numpy()))) > 1


def located(device: Gpu, loop: StochasticLoop) -> tuple[np.ndarray, np.ndarray]:
    """(uv [H,W,2], NaN outside; mip level [H,W]) of the last step's first view, by the loop's own includes."""
    text = """// Provides: where.
#include loop_surface
@group(0) @binding(4) var ids: texture_2d<u32>;
@group(0) @binding(7) var<storage, read_write> places: array<vec4f>;
@compute @workgroup_size(8, 8)
fn where_on_texture(@builtin(global_invocation_id) id: vec3u) {
    let number = textureLoad(ids, id.xy, 0).x;
    if (number == 0u) {
        places[id.y * view.size.x + id.x] = vec4f(-1.0);
        return;
    }
    let a = triangle_corner(number - 1u, 0u);
    let b = triangle_corner(number - 1u, 1u);
    let c = triangle_corner(number - 1u, 2u);
    let size = vec2f(view.size);
    let found = fragment_at(moved[a.x], moved[b.x], moved[c.x], vec2f(id.xy) + 0.5, size);
    let p = bitcast<vec2f>(a.yz);
    let q = bitcast<vec2f>(b.yz);
    let r = bitcast<vec2f>(c.yz);
    let level = footprint_level(found, p, q, r, vec2f(now.texture_size));
    let uv = found.weights.x * p + found.weights.y * q + found.weights.z * r;
    let held = clamp(level, 0.0, f32(now.levels - 1u));
    places[id.y * view.size.x + id.x] = vec4f(uv, held, 1.0);
}
"""
    memory, size = loop.memory, loop.memory.sizes[0]
    pipeline = device.compute(compose("where", sources={"where": text}), "where_on_texture")
    out = device.buffer(16 * size[0] * size[1])
    resources = {
        0: memory.step,
        1: memory.view_uniform(0),
        2: memory.moved,
        3: memory.tables,
        4: memory.passes[size][0].numbers.create_view(),
        7: out,
    }
    encoder = device.encoder()
    device.dispatch(encoder, pipeline, [device.bind(pipeline, resources)], (-(-size[1] // 8), -(-size[0] // 8), 1))
    device.submit(encoder)
    places = device.read(out, np.float32, (*size, 4))
    uv = np.where(places[..., 3:] > 0, places[..., :2], np.nan).astype(np.float32)
    return uv, np.where(places[..., 3] > 0, places[..., 2], -5)
