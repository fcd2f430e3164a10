"""Subdivided cages in the loop: the surface is the stencils', credit is the numba rule's, and the cage converges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from engine.errors import GeometryError
from engine.geometry.displacement import DisplacementTaps
from engine.geometry.subdivision import loop_surface, read_controls, read_rows, subdivided_corners
from engine.kernels.signs import DISPLACEMENT, VERTICES, sign_key, signs
from engine.kernels.webgpu import Gpu, gpu
from engine.optimize.stochastic import LoopOptions, LoopScene, LoopView, StochasticLoop
from engine.optimize.stochastic.cage import CageLoop, CageScene
from engine.raster.stochastic.credit import fixed_difference, gradient
from engine.raster.stochastic.perturbation import vertex_eps
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from tests.engine.optimize.stochastic.loop_scenes import cameras
from tests.engine.optimize.stochastic.test_credit import head, read_numbers


@pytest.fixture(scope="module")
def device() -> Gpu:
    return gpu()


def cage_scene(levels: int = 2) -> CageScene:
    """An icosahedral cage around the unit sphere with a map wrapped about the y axis."""
    ball = trimesh.creation.icosphere(1)
    vertices, triangles = ball.vertices.view(np.ndarray), ball.faces.astype(np.int32)
    surface = loop_surface(triangles, len(vertices), levels)
    turn = np.arctan2(vertices[:, 2], vertices[:, 0]) / (2 * np.pi) + 0.5
    place = np.stack([turn, np.arccos(np.clip(vertices[:, 1], -1, 1)) / np.pi], 1)
    uv_triangles, uvs = subdivided_corners(triangles, place, levels)
    taps = DisplacementTaps.of(surface.triangles, surface.vertex_count, uvs, uv_triangles, (16, 32))
    return CageScene(
        vertices.astype(np.float32), triangles, uvs.astype(np.float32), uv_triangles, surface=surface, taps=taps
    )


def target_scene(scene: CageScene) -> CageScene:
    heights = 0.08 * np.sin(np.arange(16 * 32) % 32 / 32 * 6 * np.pi)
    return replace(scene, vertices=scene.vertices * np.float32([1.25, 0.9, 1.0]), displacement=heights)


def blank(camera) -> LoopView:
    return LoopView(camera, np.zeros((*camera.size, 3), np.float32), np.zeros(camera.size, np.float32))


def cage_loop(device: Gpu, size: int = 64, views: int = 6, **options) -> CageLoop:
    """From the round cage toward the displaced, stretched one's normals."""
    scene, seen_by = cage_scene(), cameras(views, size)
    drawn = CageLoop(device, target_scene(scene), [blank(c) for c in seen_by], LoopOptions(), "normal_color")
    images = [drawn.preview(camera) for camera in seen_by]
    photos = [LoopView(c, image[..., :3], image[..., 3]) for c, image in zip(seen_by, images, strict=True)]
    chosen = LoopOptions(**({"order": ("vertices", "displacement"), "tone": "linear"} | options))
    return CageLoop(device, scene, photos, chosen, "normal_color")


def test_the_device_draws_the_surface_that_the_stencils_say(device):
    scene = target_scene(cage_scene())
    camera = cameras(3, 64)[1]
    cage = CageLoop(device, scene, [blank(camera)], LoopOptions(), "normal_color")
    plain = LoopScene(cage.points(), scene.surface.triangles)
    image = StochasticLoop(device, plain, [blank(camera)], LoopOptions(), "normal_color").preview(camera)
    difference = np.abs(cage.preview(camera) - image).max(-1)
    assert np.median(difference) < 1e-5 and (difference > 1e-3).mean() < 1e-3
    assert image[..., 3].mean() > 0.2


def test_control_vertices_are_credited_as_by_the_numba_rule(device):
    loop = cage_loop(device)
    found = loop.gradient("vertices", 2, 5)
    size, camera = loop.memory.sizes[2], loop.views[2].camera
    plus, minus = (read_numbers(device, visibility) for visibility in loop.memory.passes[size])
    assert (plus != minus).mean() > 0.02
    losses = device.read(loop.memory.losses, np.float32, (*size, 2))
    scale, bound = head(loop)
    rule = VertexCredit(plus, minus, Stencils(*read_controls(loop.scene.surface), len(loop.scene.vertices)))
    fixed = fixed_difference(losses[..., 0].copy(), losses[..., 1].copy(), bound, scale)
    reach = loop.options.groups["vertices"].at(5 / loop.options.steps)[0]
    eps = vertex_eps(torch.from_numpy(loop.scene.vertices), camera.clip_from_world(0.5, 6), size, reach)
    drawn = signs(sign_key(0, 5, VERTICES), rule.rows, 3)
    expected = gradient(rule.sums(fixed), scale, drawn, eps.numpy()) / (size[0] * size[1])
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_displacement_texels_are_credited_as_by_the_numba_rule(device):
    loop = cage_loop(device, order=("displacement",))
    size, camera = loop.memory.sizes[1], loop.views[1].camera
    loop.counts["displacement"] += 1
    loop._tell("displacement", 1)
    encoder = loop._encoded(loop.groups["displacement"], 1, update=False)
    compute_pass = encoder.begin_compute_pass()
    buffer = loop.groups["displacement"].encode_gradient(compute_pass, 1)
    compute_pass.end()
    device.submit(encoder)
    found = device.read(buffer, np.float32, (loop.scene.texels, 4))
    plus, minus = (read_numbers(device, visibility) for visibility in loop.memory.passes[size])
    losses = device.read(loop.memory.losses, np.float32, (*size, 2))
    scale, bound = head(loop)
    rows = read_rows(loop.scene.surface.triangles, *loop.scene.taps.rows(), loop.scene.texels, smooth=True)
    rule = VertexCredit(plus, minus, Stencils(*rows, loop.scene.texels))
    fixed = fixed_difference(losses[..., 0].copy(), losses[..., 1].copy(), bound, scale)
    focal = np.sqrt(np.prod(camera.focal))
    centre = (loop.scene.vertices.min(0) + loop.scene.vertices.max(0)) / 2
    reach = loop.options.groups["displacement"].eps * np.linalg.norm(camera.position - centre) / focal
    drawn = signs(sign_key(0, 0, DISPLACEMENT), rule.rows, 1)
    expected = gradient(rule.sums(fixed), scale, drawn, np.float32(reach)) / (size[0] * size[1])
    assert np.abs(expected).max() > 0
    assert np.abs(found[:, :1] - expected).max() <= 1e-5 * np.abs(expected).max()
    assert not found[:, 1:].any()


def test_cage_and_displacement_converge_and_resume_with_the_same_bits(device):
    groups = LoopOptions().groups
    groups |= {"vertices": replace(groups["vertices"], rate=0.05, rate_end=0.01)}
    loop = cage_loop(device, steps=120, groups=groups, smoothness=2.0)
    before = loop.psnr()
    loop.step(60)
    kept = loop.state()
    loop.step(60)
    assert loop.psnr() > before + 3
    assert np.abs(loop.displacement()).max() > 0.01
    after = loop.state()
    loop.restore(kept)
    loop.step(60)
    again = loop.state()
    assert all(np.array_equal(after[name], again[name]) for name in after)


def test_a_device_lost_when_the_displacement_is_read_is_recovered():
    own = Gpu()
    loop = cage_loop(own, views=2)
    loop.step(3)
    expected = loop.displacement()
    own.destroy()
    assert np.array_equal(loop.displacement(), expected) and np.abs(expected).max() > 0


def test_a_cage_without_its_own_stencils_is_refused():
    scene = cage_scene()
    with pytest.raises(GeometryError, match="without its stencils"):
        replace(scene, surface=None)
    with pytest.raises(GeometryError, match="another cage"):
        replace(scene, vertices=np.concatenate([scene.vertices, scene.vertices[:1]]))
    with pytest.raises(GeometryError, match="displacement of 7 texels for a map of 512"):
        replace(scene, displacement=np.zeros(7))
