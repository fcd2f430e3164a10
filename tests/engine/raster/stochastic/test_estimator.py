"""The estimator on whole images: against the analytic gradient and finite differences, against its plain twin, and the
same bits on any number of threads.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
import torch

import engine.optimize.splat_gradient  # noqa: F401 (registers the rule for splats)
from engine.errors import UnrenderError
from engine.geometry.normals import vertex_normals
from engine.kernels.signs import VERTICES, sign_key, signs
from engine.raster import rasterizer
from engine.raster.bench import bench_camera, clip_of, displaced_icosphere
from engine.raster.contract import EdgeTable
from engine.raster.stochastic.credit import (
    LARGEST,
    RULES,
    credited,
    fixed_point_scale,
    gradient,
    gradient_reference,
    pixel_gradients,
)
from engine.raster.stochastic.light_credit import EnvironmentCredit, LightCones
from engine.raster.stochastic.loss import estimate, stochastic_loss, stochastic_texture_loss
from engine.raster.stochastic.perturbation import focal_lengths, perturbed, scheduled_eps, vertex_eps
from engine.raster.stochastic.pixel_credit import PixelCredit
from engine.raster.stochastic.pose_credit import PoseCredit, moved_pose, rigid_motion
from engine.raster.stochastic.recursive import RecursiveEstimate
from engine.raster.stochastic.smoothing import smoothed
from engine.raster.stochastic.texel_credit import TexelCredit, TexturePoints
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.raster.texture import build_pyramid
from engine.splats.parameters import SplatTensors
from engine.splats.stochastic_ids import SplatIds
from tests.engine.splats.scenes import camera, scene

SIZE = (64, 96)


def points(seed: int) -> TexturePoints:
    random = np.random.default_rng(seed)
    uv = random.uniform(-0.1, 1.1, (*SIZE, 2)).astype(np.float32)
    uv[random.random(SIZE) < 0.1] = np.nan
    return TexturePoints(uv, random.uniform(-1, 5, SIZE).astype(np.float32))


def cones(seed: int) -> LightCones:
    random = np.random.default_rng(seed)
    direction = random.normal(size=(*SIZE, 3)).astype(np.float32)
    direction[0, :8] = np.array([[0, 1, 0], [0, -1, 0], [0, 0, 0], [np.nan, 0, 0]] * 2)
    return LightCones(direction, (random.random(SIZE) ** 3 * 2).astype(np.float32))


def ids(seed: int, count: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    blocks = random.integers(0, count + 1, (SIZE[0] // 4, SIZE[1] // 4))
    return np.repeat(np.repeat(blocks, 4, 0), 4, 1).astype(np.int32)


def mixed_ids(seed: int, count: int) -> np.ndarray:
    """Like `ids` of seed 0, with a fifth of the pixels drawn anew."""
    other = np.random.default_rng(seed).random(SIZE) < 0.2
    return np.where(other, ids(seed, count), ids(0, count))


def rule(name: str):
    _, triangles = displaced_icosphere(500)
    vertex_count = int(triangles.max()) + 1
    if name == "vertices":
        stencils = Stencils.smooth(triangles, vertex_count)
        return VertexCredit(mixed_ids(1, len(triangles)), mixed_ids(2, len(triangles)), stencils)
    if name == "texels":
        return TexelCredit(points(1), points(2), (16, 32))
    if name == "environment":
        return EnvironmentCredit(cones(1), cones(2), (16, 32))
    if name == "splats":
        splats, view = SplatTensors.of(scene("gaussian", 40, 0, seed=2)), camera(SIZE[1], SIZE[0], 0.8 * SIZE[1])
        moved = replace(splats, means=splats.means + 0.1)
        return RULES[name](SplatIds.of(splats, view), SplatIds.of(moved, view))
    return PixelCredit(SIZE) if name == "pixels" else PoseCredit(SIZE)


def losses() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(9)
    return random.random(SIZE).astype(np.float32), random.random(SIZE).astype(np.float32)


@pytest.mark.parametrize("name", sorted(RULES))
def test_fixed_point_equals_the_plain_twin(name):
    made, (plus, minus) = rule(name), losses()
    eps = np.linspace(0, 2, made.rows, dtype=np.float32)[:, None] if made.rows > 1 else np.ones((1, 1), np.float32)
    drawn = signs(5, made.rows, 3)
    ours = gradient(*credited(made, plus, minus), drawn, eps)
    pair = (torch.from_numpy(image).double() for image in (plus, minus))
    wanted = gradient_reference(made, *pair, torch.from_numpy(drawn).double(), torch.from_numpy(eps).double()).numpy()
    assert np.abs(ours - wanted).max() < 2e-4 * np.abs(wanted).max()
    assert made.rows == 1 or not ours[0].any()  # eps is 0 there


@pytest.mark.parametrize("name", sorted(RULES))
def test_sums_have_the_same_bits_on_any_number_of_threads(name):
    made, (plus, minus) = rule(name), losses()
    before = numba.get_num_threads()
    results = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        results.append(credited(made, plus, minus))
    numba.set_num_threads(before)
    assert results[0][1] == results[1][1] and np.array_equal(results[0][0], results[1][0])


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_row_s_pixels_are_those_that_are_summed(name):
    made = rule(name)
    image = np.random.default_rng(4).integers(-100, 100, SIZE).astype(np.int32)
    sums = made.sums(image)
    for row in {0, made.rows // 3, made.rows - 1}:
        assert image[made.pixels(row)].sum() == sums[row]
    row = made.rows // 2
    plus, minus = losses()
    contributions = pixel_gradients(made, plus, minus, row, np.array([1.0, -1.0]), 0.5)
    assert contributions.shape == (*SIZE, 2) and np.array_equal(contributions[..., 0] != 0, made.pixels(row))


@pytest.mark.parametrize("bound", [1e-30, 3e-7, 0.9, 1.0, 77.0, 1e30])
@pytest.mark.parametrize("pixels", [1, 1000, 4096 * 4096])
def test_fixed_point_cannot_overflow_and_wastes_little(bound, pixels):
    scale = fixed_point_scale(bound, pixels)
    most = int(np.rint(np.float32(bound) * np.float32(scale))) * pixels
    assert most <= LARGEST and (scale == 2.0**126 or most > LARGEST // 8 or bound * scale < 64)
    full = np.full((64, 64), bound, np.float32)
    sums, scale = credited(PoseCredit((64, 64)), full, -full)
    assert sums[0] / scale == pytest.approx(2 * bound * 64 * 64, rel=1e-3)


class Scene:
    """A bumpy sphere with smooth normals as colours, 96 x 96 pixels, against a picture of waves."""

    def __init__(self, triangle_count: int = 1300, size: int = 96) -> None:
        vertices, triangles = displaced_icosphere(triangle_count)
        self.vertices = torch.as_tensor(vertices, dtype=torch.float32)
        self.triangles, self.size = torch.from_numpy(triangles), (size, size)
        self.camera, self.raster = bench_camera(size), rasterizer("numba")
        self.matrix = self.camera.clip_from_world(0.5, 6.0)
        self.target = self.waves(size)

    @staticmethod
    def waves(size: int) -> torch.Tensor:
        v, u = np.meshgrid((np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
        waves = [0.5 + 0.3 * np.sin(7 * u + k) * np.cos(5 * v - k) for k in range(4)]
        return torch.as_tensor(np.stack(waves, -1), dtype=torch.float32)

    def image(self, points, size=None, buffer=None) -> torch.Tensor:
        if buffer is None:
            buffer = self.raster.visibility(clip_of(points, bench_camera(size)), self.triangles, (size, size))
        values = vertex_normals(points, self.triangles) * 0.5 + 0.5
        values = torch.cat([values, torch.ones(len(values), 1)], 1)
        return self.raster.compose(self.raster.interpolate(values, self.triangles, buffer), buffer, torch.zeros(4))

    def losses(self, buffer, points) -> torch.Tensor:
        return (self.image(points, buffer=buffer) - self.target).square().sum(-1)

    def directions(self, count: int) -> list[torch.Tensor]:
        random, found = np.random.default_rng(0), []
        for _ in range(count):
            wave = np.sin(self.vertices.numpy() @ random.normal(size=(3, 3)) + random.uniform(0, 2 * np.pi, 3))
            found.append(torch.as_tensor(wave * random.normal(size=3), dtype=torch.float32))
        return found


@pytest.mark.slow
def test_mean_of_256_samples_follows_the_analytic_gradient_and_finite_differences():
    """Along 24 smooth deformations; finite differences are of an image supersampled six times."""
    size = 80
    scene = Scene(900, size)
    leaf = scene.vertices.clone().requires_grad_()
    clip = clip_of(leaf, scene.camera)
    buffer = scene.raster.visibility(clip, scene.triangles, scene.size)
    image = scene.raster.coverage(
        scene.image(leaf, buffer=buffer), clip, scene.triangles, buffer,
        EdgeTable.from_triangles(scene.triangles, len(leaf)),
    )  # fmt: skip
    (image - scene.target).square().sum().backward()
    stencils = Stencils.smooth(scene.triangles.numpy(), len(leaf))
    mean, samples = torch.zeros_like(scene.vertices), 256
    for sample in range(samples):
        point = scene.vertices.clone().requires_grad_()
        stochastic_loss(
            point, scene.losses, scene.triangles, scene.matrix, scene.size, scene.raster,
            key=sign_key(0, sample, VERTICES), stencils=stencils,
        ).backward()  # fmt: skip
        mean += point.grad / samples

    def supersampled(points):
        image = scene.image(points, 6 * size).reshape(size, 6, size, 6, 4).mean((1, 3))
        return float((image - scene.target).double().square().sum())

    directions = scene.directions(24)
    analytic, stochastic = (np.array([float((g * d).sum()) for d in directions]) for g in (leaf.grad, mean))
    numeric = [supersampled(scene.vertices + 4e-3 * d) - supersampled(scene.vertices - 4e-3 * d) for d in directions]

    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(stochastic, analytic) >= 0.97
    assert cosine(stochastic, np.array(numeric)) >= 0.97


def test_double_precision_on_the_reference_rasterizer_agrees():
    scene = Scene(triangle_count=80, size=24)
    reference, key = rasterizer("reference"), sign_key(1, 2, VERTICES)

    def losses(buffer, points):
        normals = vertex_normals(points, scene.triangles) * 0.5 + 0.5
        zero = torch.zeros(3, dtype=points.dtype)
        raster = reference if points.dtype == torch.float64 else scene.raster
        image = raster.compose(raster.interpolate(normals, scene.triangles, buffer), buffer, zero)
        return (image - scene.target[..., :3]).square().sum(-1)

    found = []
    for raster, kind in ((reference, torch.float64), (scene.raster, torch.float32)):
        leaf = scene.vertices.to(kind).requires_grad_()
        loss = stochastic_loss(leaf, losses, scene.triangles, scene.matrix, scene.size, raster, key=key)
        (3 * loss).backward()
        found.append((loss.detach().double(), leaf.grad.double()))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=0, atol=5e-4 * float(found[0][1].abs().max()))


def test_a_black_box_that_quantizes_and_leaves_torch_can_be_descended():
    """Eight grey levels in NumPy: autograd would give no gradient at all."""
    scene = Scene(triangle_count=320, size=48)
    shift = torch.tensor([0.06, 0.0, 0.0])

    def quantized(buffer, points):
        return np.floor(scene.image(points, buffer=buffer).numpy() * 8) / 8

    clip = clip_of(scene.vertices + shift, scene.camera)
    target = quantized(scene.raster.visibility(clip, scene.triangles, scene.size), scene.vertices + shift)
    offset = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([offset], lr=5e-3)
    for step in range(40):
        optimizer.zero_grad()
        stochastic_loss(
            scene.vertices + offset, lambda b, p: ((quantized(b, p) - target) ** 2).sum(-1), scene.triangles,
            scene.matrix, scene.size, scene.raster, key=sign_key(0, step, VERTICES),
        ).backward()  # fmt: skip
        optimizer.step()
    assert abs(float(offset.detach()[0]) - 0.06) < 0.015 and float(offset.detach()[1:].abs().max()) < 0.02


@pytest.mark.parametrize("wrong", ["nan", "shape"])
def test_losses_that_cannot_be_used_are_refused_with_their_place(wrong):
    scene = Scene(triangle_count=80, size=24)

    def losses(buffer, points):
        image = scene.losses(buffer, points)
        image[3, 5] = torch.nan
        return image if wrong == "nan" else image[..., None]

    text = "row 3, column 5" if wrong == "nan" else r"\[24, 24, 1\]"
    with pytest.raises(UnrenderError, match=text):
        stochastic_loss(
            scene.vertices, losses, scene.triangles, scene.matrix, scene.size, scene.raster, key=1
        )  # fmt: skip


def test_a_texture_is_recovered_through_its_filter():
    truth = torch.rand(32, 32, 3, generator=torch.Generator().manual_seed(0))
    texture = torch.full_like(truth, 0.5).requires_grad_()
    y, x = np.mgrid[:64, :64].astype(np.float32) / 63
    uv = np.stack([x, y], -1)
    seen = TexturePoints(uv, np.zeros((64, 64), np.float32))

    def image(values):
        return rasterizer("numba").texture(build_pyramid(values), torch.from_numpy(uv.reshape(-1, 2)))

    target = image(truth)
    optimizer = torch.optim.Adam([texture], lr=0.02, betas=(0.9, 0.99))
    for step in range(300):
        optimizer.zero_grad()
        stochastic_texture_loss(
            texture, lambda moved: (image(moved) - target).square().sum(1).view(64, 64), seen,
            key=sign_key(0, step, 1), levels=1,
        ).backward()  # fmt: skip
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.99
    assert -10 * torch.log10((image(texture.detach()) - target).square().mean()) > 30


def test_eps_is_a_number_of_pixels_on_the_screen():
    camera = bench_camera(200)
    matrix = camera.cropped(30, 40, 100, 80).clip_from_world(0.5, 6.0)
    assert focal_lengths(matrix, (80, 100)) == pytest.approx(camera.focal)
    points = torch.from_numpy(np.array([[0.2, 0.1, -0.5], [0.0, -0.3, 1.0], 2 * camera.position]))
    eps = vertex_eps(points, matrix, (80, 100), 0.5)
    assert eps[2] == 0  # behind the camera
    across = torch.as_tensor(camera.world_from_camera[:3, 0])
    for point, step in zip(points[:2], eps[:2], strict=True):
        ends, _ = camera.project(np.stack([point, point + step * across]))
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(0.5)
    plus, minus = perturbed(points, eps, 7)
    torch.testing.assert_close(plus + minus, 2 * points)
    assert scheduled_eps(0.8, 0.2, 0.5) == pytest.approx(0.4) and scheduled_eps(0.8, 0.2, 2) == pytest.approx(0.2)


def test_a_small_rigid_motion_is_its_twist():
    twist = np.array([0.3, -0.2, 0.5, 1.0, 2.0, -1.0])
    motion = rigid_motion(twist)
    assert np.allclose(motion @ rigid_motion(-twist), np.eye(4))
    half = rigid_motion(twist / 2)
    assert np.allclose(half @ half, motion) and np.isclose(np.linalg.det(motion[:3, :3]), 1)
    assert np.allclose(moved_pose(np.eye(4), 1e-8 * twist)[:3, 3], 1e-8 * twist[3:])


def test_smoothing_solves_the_screened_laplacian():
    vertices, triangles = displaced_icosphere(320)
    edges = EdgeTable.from_triangles(torch.from_numpy(triangles), len(vertices)).edges.numpy()
    values = np.random.default_rng(0).normal(size=(len(vertices), 3)).astype(np.float32)
    laplacian = np.zeros((len(vertices), len(vertices)))
    laplacian[edges[:, 0], edges[:, 1]] = laplacian[edges[:, 1], edges[:, 0]] = -1
    np.fill_diagonal(laplacian, -laplacian.sum(1))
    exact = np.linalg.solve(np.eye(len(vertices)) + 3 * laplacian, values)
    assert np.abs(smoothed(values, edges, 3.0, 40) - exact).max() < 1e-3 * np.abs(exact).max()
    assert np.array_equal(smoothed(values, edges, 0.0), values)


def test_a_recursive_estimate_is_less_noisy_and_follows_the_gradient():
    point, recursive, errors = torch.zeros(50), RecursiveEstimate(0.1), []
    for step in range(200):
        noise = torch.randn(50, generator=torch.Generator().manual_seed(step))
        point = point + 0.01
        value = recursive.update(point, lambda at, n=noise: 2 * at + n)
        errors.append(float((value - 2 * point).square().mean()))
    assert np.mean(errors[100:]) < 0.15  # one sample: 1


def test_two_estimates_with_one_key_have_the_same_bits():
    """Nothing but the signs is random."""
    scene = Scene(triangle_count=80, size=24)
    stencils = Stencils.flat(scene.triangles.numpy(), len(scene.vertices))

    def evaluate(points):
        clip = clip_of(points, scene.camera)
        buffer = scene.raster.visibility(clip, scene.triangles, scene.size)
        return scene.losses(buffer, points), buffer.triangle_id.numpy()

    eps = vertex_eps(scene.vertices, scene.matrix, scene.size, 0.4)
    first, second = (
        estimate(scene.vertices, eps, 11, evaluate, lambda a, b: VertexCredit(a, b, stencils), scene.size)
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
