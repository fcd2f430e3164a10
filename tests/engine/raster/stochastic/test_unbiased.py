"""Unbiasedness by enumerating all sign vectors: exact, to the last unit, for each credit rule.

`sheet` is a bent grid of 3 x 4 vertices over a background, each moved along one axis: silhouettes, inner edges, and
normals that bring in one-rings. `layers` is a triangle before a larger one. Both are seen at 24 x 32 pixels with cells
of 6 pixels or more, and eps is a third of that at most.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.geometry.normals import vertex_normals
from engine.raster import rasterizer
from engine.raster.stochastic.blocks import VertexBlocks
from engine.raster.stochastic.light_credit import EnvironmentCredit, LightCones
from engine.raster.stochastic.pixel_credit import PixelCredit
from engine.raster.stochastic.pose_credit import PoseCredit, moved_pose, pose_eps
from engine.raster.stochastic.texel_credit import TexelCredit, TexturePoints
from engine.raster.stochastic.vertex_credit import Stencils, VertexCredit
from engine.raster.texture import build_pyramid
from tests.engine.raster.stochastic.enumeration import enumerated, lost, quantized

SIZE = (24, 32)
CELL = 6.0  # pixels


def sheet() -> tuple[np.ndarray, np.ndarray]:
    """(vertices [12,3] in pixels and depth 1 to 1.2, triangles [12,3])."""
    vertices = [
        (6.3 + CELL * c + 0.7 * r, 5.1 + CELL * r - 0.4 * c, 1.1 + 0.1 * np.sin(2 * r + c))
        for r in range(3)
        for c in range(4)
    ]
    corners = [(4 * r + c, 4 * r + c + 1, 4 * r + c + 4, 4 * r + c + 5) for r in range(2) for c in range(3)]
    triangles = [t for a, b, c, d in corners for t in ((a, c, b), (b, c, d))]
    return np.array(vertices, np.float32), np.array(triangles, np.int32)


def layers() -> tuple[np.ndarray, np.ndarray]:
    """(vertices [6,3], triangles [2,3]): a near triangle over part of a far one."""
    vertices = [(1, 1, 1.5), (31, 2, 1.5), (3, 23, 1.5), (6, 5, 1.1), (15, 6, 1.1), (8, 13, 1.1)]
    return np.array(vertices, np.float32) + np.float32(0.13), np.array([[0, 2, 1], [3, 5, 4]], np.int32)


def clip_of(points: np.ndarray) -> torch.Tensor:
    """[V,4] of points [V,3] given in pixels and depth."""
    x, y, w = np.asarray(points, np.float32).T
    return torch.from_numpy(
        np.stack([(2 * x / SIZE[1] - 1) * w, (2 * y / SIZE[0] - 1) * w, np.zeros_like(w), w], 1).astype(np.float32)
    )


def target(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(3).random((*SIZE, channels)).astype(np.float32)


def drawn(points: np.ndarray, triangles: np.ndarray, attributes: torch.Tensor):
    """(loss [H,W] of interpolated attributes [V,C] against a random target, ids [H,W])."""
    raster, index = rasterizer("numba"), torch.from_numpy(triangles)
    buffer = raster.visibility(clip_of(points), index, SIZE)
    values = raster.interpolate(attributes, index, buffer)
    image = raster.compose(values, buffer, torch.full((values.shape[1],), 0.2))
    return ((image.numpy() - target(values.shape[1])) ** 2).sum(-1), buffer.triangle_id.numpy()


def geometry(scene, moved, eps, smooth: bool):
    """`enumerated`'s evaluation of a mesh whose vertices move by eps pixels (depth: by 0.02 eps)."""
    vertices, triangles = scene()
    unit = np.array([eps, eps, 0.02 * eps], np.float32)
    colors = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(1))

    def evaluate(signs):
        points = vertices + unit * signs
        scaled = torch.from_numpy(points / np.array([CELL, CELL, 0.1], np.float32))
        values = vertex_normals(scaled, torch.from_numpy(triangles)) if smooth else colors
        loss, ids = drawn(points, triangles, values)
        return quantized(loss), ids

    stencils = (Stencils.smooth if smooth else Stencils.flat)(triangles, len(vertices))
    return evaluate, stencils, (len(vertices), 3)


SHEET_MOVES = [(v, v % 3) for v in range(12)]
LAYER_MOVES = [(v, k) for v in range(6) for k in range(2)]


@pytest.mark.parametrize("eps", [0.3, 1.0, 2.0])
def test_vertices_with_smooth_normals_are_unbiased_up_to_a_third_of_a_triangle(eps):
    evaluate, stencils, shape = geometry(sheet, SHEET_MOVES, eps, smooth=True)
    assert np.diff(stencils.start).min() < 12  # stencils leave something out
    moves = SHEET_MOVES if eps == 2.0 else SHEET_MOVES[::2] + SHEET_MOVES[1:4:2]
    estimate, promise = enumerated(moves, shape, evaluate, lambda a, b: VertexCredit(a, b, stencils))
    assert promise.any() and np.array_equal(estimate, promise)


def test_vertices_of_a_surface_before_another_are_unbiased():
    evaluate, stencils, shape = geometry(layers, LAYER_MOVES, 1.5, smooth=False)
    estimate, promise = enumerated(LAYER_MOVES, shape, evaluate, lambda a, b: VertexCredit(a, b, stencils))
    assert promise.all() and np.array_equal(estimate, promise)


def without(rule, part: str):
    """The same rule, wrong: only one image's ids."""
    return lambda a, b: rule(a, a) if part == "minus" else rule(b, b)


@pytest.mark.parametrize("part", ["plus", "minus"])
def test_crediting_one_image_only_fails(part):
    moves = LAYER_MOVES[6:]
    evaluate, stencils, shape = geometry(layers, moves, 1.5, smooth=False)
    right = enumerated(moves, shape, evaluate, lambda a, b: VertexCredit(a, b, stencils))
    wrong = enumerated(moves, shape, evaluate, without(lambda a, b: VertexCredit(a, b, stencils), part))
    assert lost(*right) == 0 and lost(*wrong) > 0.1


def test_crediting_no_one_rings_fails_with_smooth_normals():
    moves = SHEET_MOVES[:8]
    evaluate, stencils, shape = geometry(sheet, moves, 1.0, smooth=True)
    flat = Stencils.flat(sheet()[1], 12)
    assert lost(*enumerated(moves, shape, evaluate, lambda a, b: VertexCredit(a, b, flat))) > 0.05


def test_crediting_a_vertex_twice_in_a_pixel_fails():
    """Inner pixels show the same triangle twice, and count it once."""
    moves = LAYER_MOVES[6:]
    evaluate, stencils, shape = geometry(layers, moves, 1.5, smooth=False)

    class Twice(VertexCredit):
        def sums(self, fixed):
            parts = (VertexCredit(ids, ids, stencils).sums(fixed) for ids in (self.ids_plus, self.ids_minus))
            return sum(parts)

    assert lost(*enumerated(moves, shape, evaluate, lambda a, b: Twice(a, b, stencils))) > 0.1


def test_two_thirds_of_a_triangle_are_too_much():
    """What the estimator does not promise, so that nobody relies on it."""
    moves = [(v, k) for v in (1, 5, 6, 9) for k in range(2)]
    evaluate, stencils, shape = geometry(sheet, moves, 0.9 * CELL, smooth=False)
    assert lost(*enumerated(moves, shape, evaluate, lambda a, b: VertexCredit(a, b, stencils))) > 0.01


@pytest.mark.parametrize("key", [1, 2, 3])
def test_blocks_of_vertices_are_unbiased(key):
    """A finer sheet, of triangles of two pixels, moved by 0.3; at 0.45 the borders of blocks are no longer exact."""
    random = np.random.default_rng(key)
    y, x = np.mgrid[:6, :7]
    vertices = np.stack([9.3 + 2 * x + 0.3 * y, 5.2 + 2.2 * y - 0.2 * x, 1.1 + 0.01 * x * y], -1).reshape(-1, 3)
    corner = (7 * y + x)[:-1, :-1].reshape(-1)
    triangles = np.concatenate([corner[:, None] + [[0, 7, 1]], corner[:, None] + [[1, 7, 8]]]).astype(np.int32)
    blocks = VertexBlocks.of(vertices[:, :2], 5.0, key)
    assert 4 <= blocks.count <= 12 and np.bincount(blocks.block).max() >= 6
    outward = vertices * [1, 1, 0.01]
    outward *= 0.3 / np.linalg.norm(outward[:, :2], axis=1, keepdims=True)
    colors = torch.from_numpy(random.random((len(vertices), 3), np.float32))

    def evaluate(signs):
        loss, ids = drawn(vertices + outward * signs[blocks.block], triangles, colors)
        return quantized(loss), ids

    stencils = blocks.stencils(triangles)
    assert np.diff(stencils.start).min() < np.diff(stencils.start).max() <= 3
    moves = [(row, 0) for row in range(blocks.count)]
    estimate, promise = enumerated(moves, (blocks.count, 1), evaluate, lambda a, b: VertexCredit(a, b, stencils))
    assert promise.all() and np.array_equal(estimate, promise)
    shares = blocks.shares(promise[:, None], random.random(len(vertices)))
    assert np.allclose(np.bincount(blocks.block, shares), promise, rtol=1e-5)


def test_parameters_of_single_pixels_are_unbiased():
    values = target(2)[:2, :3].reshape(-1, 2)

    def evaluate(signs):
        moved = values + 0.2 * signs
        return quantized(np.sin(5 * moved[:, :1]) * moved[:, 1:]), None

    moves = [(row, k) for row in range(6) for k in range(2)]
    estimate, promise = enumerated(moves, (6, 2), evaluate, lambda a, b: PixelCredit((6, 1)))
    assert promise.all() and np.array_equal(estimate, promise)


def textured(moves, eps_pixels):
    """A textured triangle of which vertices (rows 16 on, in pixels) and texels (rows 0 to 15) move together."""
    vertices, triangles = layers()
    vertices, triangles = vertices[:3], triangles[:1]
    uvs = torch.tensor([[-0.1, 0.1], [1.1, 0.3], [0.4, 1.2]])
    texture = torch.rand(16, 1, generator=torch.Generator().manual_seed(2))
    raster, index = rasterizer("numba"), torch.from_numpy(triangles)
    levels = torch.linspace(-0.5, 2.6, SIZE[0] * SIZE[1])  # of a 4x4 texture's three

    def evaluate(signs):
        points = vertices + eps_pixels * np.pad(signs[16:, :2], ((0, 0), (0, 1)))
        buffer = raster.visibility(clip_of(points), index, SIZE)
        uv = raster.interpolate(uvs, index, buffer)
        moved = texture + 0.2 * torch.from_numpy(signs[:16, :1])
        level = levels[buffer.pixel] + 0.3 * float(signs[16, 0])  # levels change with the geometry
        values = raster.texture(build_pyramid(moved.view(4, 4, 1)), uv, level)
        image = raster.compose(values, buffer, torch.full((1,), 0.2)).numpy()
        seen = TexturePoints.of(buffer.pixel.numpy(), uv.numpy(), level.numpy(), SIZE)
        return quantized((image - target())[..., 0] ** 2), seen

    return enumerated(moves, (19, 2), evaluate, lambda a, b: Rows(TexelCredit(a, b, (4, 4)), 19))


class Rows:
    """A rule's rows followed by others that it knows nothing of."""

    def __init__(self, rule, rows: int) -> None:
        self.rule, self.rows = rule, rows

    def sums(self, fixed):
        sums = self.rule.sums(fixed)
        return np.concatenate([sums, np.zeros(self.rows - len(sums), np.int32)])


def test_texels_of_filtered_textures_are_unbiased():
    moves = [(texel, 0) for texel in (0, 1, 2, 4, 5, 6, 7, 10, 13, 15)]
    estimate, promise = textured(moves, 0.0)
    assert promise.all() and np.array_equal(estimate, promise)


def test_texels_are_unbiased_while_the_geometry_moves_as_well():
    """The two images read other texels at other levels: the union counts, each texel once."""
    texels = [(texel, 0) for texel in (0, 1, 5, 6, 10)]
    estimate, promise = textured([*texels, (16, 0), (17, 1), (18, 0)], 1.5)
    assert promise[:5].all() and np.array_equal(estimate[:5], promise[:5])


def lit(angle: float, moves, turned: float):
    """A disc of pixels that look up the light within a cone; the last row turns all directions."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / 12.0 - 1
    z = 1 - 0.5 * (x**2 + y**2)
    light = np.random.default_rng(5).random((4, 8, 1)).astype(np.float32)
    polar, around = (np.arange(4) + 0.5) / 4 * np.pi, ((np.arange(8) + 0.5) / 8 - 0.5) * 2 * np.pi
    texels = np.stack(
        [np.outer(np.sin(polar), np.sin(around)), np.outer(np.cos(polar), np.ones(8))]
        + [-np.outer(np.sin(polar), np.cos(around))], -1
    )  # fmt: skip

    def evaluate(signs):
        turn = turned * signs[32, 0]
        direction = np.stack([np.cos(turn) * x - np.sin(turn) * z, y, np.sin(turn) * x + np.cos(turn) * z], -1)
        direction = (direction / np.linalg.norm(direction, axis=-1, keepdims=True)).astype(np.float32)
        moved = light + 0.2 * signs[:32].reshape(4, 8, 1)
        near = (direction @ texels.reshape(-1, 3).T > np.cos(angle)).reshape(*SIZE, 4, 8)
        values = (near * moved[..., 0]).sum((-2, -1)) / 8
        cones = LightCones(direction, np.full(SIZE, angle, np.float32))
        return quantized((values - target()[..., 0]) ** 2), cones

    return enumerated(moves, (33, 1), evaluate, lambda a, b: Rows(EnvironmentCredit(a, b, (4, 8)), 33))


@pytest.mark.parametrize("angle", [0.3, 0.9, 2.0])
def test_environment_texels_are_unbiased(angle):
    moves = [(texel, 0) for texel in (0, 3, 9, 12, 16, 20, 23, 31)]
    estimate, promise = lit(angle, [*moves, (32, 0)], 0.2)
    assert np.count_nonzero(promise[:-1]) >= 4 and np.array_equal(estimate[:-1], promise[:-1])


def test_camera_pose_is_unbiased():
    vertices, triangles = sheet()
    x, y, w = vertices.astype(float).T
    world = np.stack([(x - SIZE[1] / 2) * w / 30, (y - SIZE[0] / 2) * w / 30, w, np.ones(12)], 1)  # of focal 30
    eps = pose_eps(1.0, 30.0, 1.1)
    colors = torch.rand(12, 3, generator=torch.Generator().manual_seed(1))

    def evaluate(signs):
        local = world @ moved_pose(np.eye(4), signs[0] * eps).T
        points = np.stack(
            [30 * local[:, 0] / local[:, 2] + SIZE[1] / 2, 30 * local[:, 1] / local[:, 2] + SIZE[0] / 2, local[:, 2]], 1
        )
        loss, ids = drawn(points, triangles, colors)
        return quantized(loss), ids

    estimate, promise = enumerated([(0, k) for k in range(6)], (1, 6), evaluate, lambda a, b: PoseCredit(SIZE))
    assert promise.all() and np.array_equal(estimate, promise)
