"""Gradients of interpolation, composing and coverage: the reference against finite differences in float64, the CPU
kernels against the reference, coverage against a supersampled render.

`scene` is the displaced icosphere of 500 triangles seen by a perspective camera at 40x36 pixels: about 70 pixels lie
at silhouettes, some before farther lobes of the same surface. Finite differences hold which triangle each pixel shows
fixed, since that is what the contract calls not differentiable.
"""

from dataclasses import replace

import numba
import numpy as np
import pytest
import torch

from engine.errors import DeviceError
from engine.raster import rasterizer
from engine.raster.bench import bench_camera, clip_of, coverage_cosine, displaced_icosphere
from engine.raster.contract import EdgeTable
from engine.raster.reference import barycentrics_at

SIZE = (36, 40)


def scene(dtype=torch.float64):
    vertices, triangles = displaced_icosphere(500)
    positions = torch.as_tensor(vertices, dtype=dtype)
    colors = torch.rand(len(positions), 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return clip_of(positions, bench_camera(40)), torch.from_numpy(triangles), colors


def derivative(function, point, direction, step=1e-6):
    """Central difference of a scalar function along `direction`."""
    return (function(point + step * direction) - function(point - step * direction)).item() / (2 * step)


def directions(shape, count=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randn((count, *shape), dtype=torch.float64, generator=generator)


def test_reference_barycentrics_match_finite_differences():
    clip, triangles, _ = scene()
    buffer = rasterizer("reference").visibility(clip, triangles, SIZE)
    corners = triangles[buffer.triangle].long()
    weights = torch.randn(len(corners), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def loss(points):
        return (barycentrics_at(points, corners, buffer.pixel, SIZE) * weights).sum()

    leaf = clip.clone().requires_grad_()
    loss(leaf).backward()
    for direction in directions(clip.shape):
        assert derivative(loss, clip, direction, 1e-8) == pytest.approx((leaf.grad * direction).sum().item(), rel=1e-4)
    assert not leaf.grad[:, 2].any()  # clip z decides what is seen, not where


def test_reference_interpolation_and_compose_match_finite_differences():
    clip, triangles, colors = scene()
    raster = rasterizer("reference")
    buffer = raster.visibility(clip, triangles, SIZE)
    target = torch.rand(*SIZE, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    background = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)

    def loss(attributes, weights, behind):
        held = replace(buffer, barycentrics=weights)
        return ((raster.compose(raster.interpolate(attributes, triangles, held), held, behind) - target) ** 2).sum()

    points = [colors, buffer.barycentrics.detach(), background]
    leaves = [p.clone().requires_grad_() for p in points]
    loss(*leaves).backward()
    for i, leaf in enumerate(leaves):
        for direction in directions(leaf.shape):
            numeric = derivative(lambda x, i=i: loss(*points[:i], x, *points[i + 1 :]), points[i], direction)
            assert numeric == pytest.approx((leaf.grad * direction).sum().item(), rel=1e-6)


def test_reference_coverage_matches_finite_differences():
    """Along shifts and zooms of the screen, under which every edge keeps its slope, so that the shares are constant."""
    clip, triangles, colors = scene()
    raster = rasterizer("reference")
    edges = EdgeTable.from_triangles(triangles, len(clip))
    buffer = raster.visibility(clip, triangles, SIZE)
    image = raster.compose(raster.interpolate(colors, triangles, buffer), buffer, torch.zeros(3).double()).detach()
    target = torch.rand(*SIZE, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def loss(picture, points):
        return ((raster.coverage(picture, points, triangles, buffer, edges) - target) ** 2).sum()

    picture, points = image.clone().requires_grad_(), clip.clone().requires_grad_()
    loss(picture, points).backward()
    shift_x = torch.stack([clip[:, 3], *[torch.zeros(len(clip)).double()] * 3], 1)
    shift_y = shift_x.roll(1, 1)
    zoom = torch.cat([clip[:, :2], torch.zeros(len(clip), 2).double()], 1)
    for direction in (shift_x, shift_y, zoom, 0.3 * shift_x - shift_y + 0.2 * zoom):
        numeric = derivative(lambda x: loss(image, x), clip, direction, 1e-7)
        assert numeric == pytest.approx((points.grad * direction).sum().item(), rel=1e-4)
    for direction in directions(image.shape):
        numeric = derivative(lambda x: loss(x, clip), image, direction)
        assert numeric == pytest.approx((picture.grad * direction).sum().item(), rel=1e-5)


def pipeline(name, clip, colors, triangles, background):
    """(image, gradients of clip, colours and background) of a whole render with a fixed random loss."""
    raster = rasterizer(name)
    leaves = [x.clone().requires_grad_() for x in (clip, colors, background)]
    buffer = raster.visibility(leaves[0], triangles, SIZE)
    image = raster.compose(raster.interpolate(leaves[1], triangles, buffer), buffer, leaves[2])
    image = raster.coverage(image, leaves[0], triangles, buffer, EdgeTable.from_triangles(triangles, len(clip)))
    target = torch.rand(image.shape, generator=torch.Generator().manual_seed(5))
    ((image - target) ** 2).sum().backward()
    return image.detach(), [x.grad for x in leaves]


@pytest.mark.parametrize("per_pixel", [False, True])
def test_numba_gives_the_reference_image_and_gradients(per_pixel):
    clip, triangles, colors = scene(torch.float32)
    background = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(6)) if per_pixel else torch.rand(3)
    image, gradients = pipeline("numba", clip, colors, triangles, background)
    expected, wanted = pipeline("reference", clip, colors, triangles, background)
    torch.testing.assert_close(image, expected, rtol=0, atol=2e-5)
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item())


@pytest.mark.parametrize("channels", [1, 4, 5])
def test_compose_puts_values_and_gradients_in_their_places_for_any_number_of_channels(channels):
    clip, triangles, _ = scene(torch.float32)
    buffer = rasterizer("numba").visibility(clip, triangles, SIZE)
    values = torch.rand(len(buffer.pixel), channels, generator=torch.Generator().manual_seed(7)).requires_grad_()
    image = rasterizer("numba").compose(values, buffer, torch.full((channels,), 0.5)).reshape(-1, channels)
    expected = torch.full_like(image, 0.5)
    expected[buffer.pixel] = values.detach()
    assert torch.equal(image.detach(), expected)
    weights = torch.rand(image.shape, generator=torch.Generator().manual_seed(8))
    (image * weights).sum().backward()
    assert torch.equal(values.grad, weights[buffer.pixel])


def test_slivers_and_triangles_without_area_give_finite_gradients():
    """Thin triangles that snapping draws although their true position may miss the pixel centres."""
    along, depth = torch.linspace(-0.9, 0.9, 40), torch.linspace(1, 3, 40)
    clip = torch.stack([along * depth, along * depth, 0 * along, depth], 1)  # the diagonal, through pixel centres
    clip[1::3, 1] += 2e-6
    clip[2::5, 0] += 1e-5
    clip.requires_grad_()
    triangles = torch.combinations(torch.arange(40, dtype=torch.int32), 3)[::7].contiguous()
    buffer = rasterizer("numba").visibility(clip, triangles, (256, 256))
    assert len(buffer.pixel) > 20
    rasterizer("numba").interpolate(torch.rand(40, 2), triangles, buffer).sum().backward()
    assert torch.isfinite(clip.grad).all() and torch.isfinite(buffer.depth).all()


def test_numba_gradients_have_the_same_bits_on_any_thread_count():
    clip, triangles, colors = scene(torch.float32)
    many = pipeline("numba", clip, colors, triangles, torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(6)))
    most = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = pipeline(
            "numba", clip, colors, triangles, torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(6))
        )
    finally:
        numba.set_num_threads(most)
    for a, b in zip([many[0], *many[1]], [one[0], *one[1]], strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("name", ["reference", "numba"])
def test_coverage_gives_a_straight_edge_its_share(name):
    """A half plane whose edge runs at x = 8.3: pixel 8 is covered by three tenths."""
    clip = torch.tensor([[-4.0, -4, 0, 1], [8.3 / 8 - 1, -4, 0, 1], [8.3 / 8 - 1, 4, 0, 1], [-4, 4, 0, 1]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    raster, clip = rasterizer(name), clip.requires_grad_()
    buffer = raster.visibility(clip, triangles, (16, 16))
    image = raster.compose(torch.ones(len(buffer.pixel), 1), buffer, torch.zeros(1))
    smooth = raster.coverage(image, clip, triangles, buffer, EdgeTable.from_triangles(triangles, 4))
    expected = torch.tensor([1.0] * 8 + [0.3] + [0.0] * 7).expand(16, 16)
    torch.testing.assert_close(smooth[..., 0], expected, rtol=0, atol=1e-5)
    smooth.sum().backward()
    # moving the edge by one in clip x (8 pixels) covers 8 pixels more in each of 16 rows
    assert clip.grad[1:3, 0].sum().item() == pytest.approx(128, rel=1e-4)


@pytest.mark.parametrize("name", ["reference", "numba"])
def test_edges_behind_the_camera_leave_the_image_finite(name):
    clip = torch.tensor([[-1.0, 1, -1.2, -1], [1, 1, 0.5, 1], [-1, -1, 0.5, 1], [0.0, 0, 0, 0]], requires_grad=True)
    triangles = torch.tensor([[0, 1, 2], [1, 2, 3]], dtype=torch.int32)
    raster = rasterizer(name)
    buffer = raster.visibility(clip, triangles, (16, 16))
    image = raster.compose(buffer.barycentrics, buffer, torch.zeros(2))
    smooth = raster.coverage(image, clip, triangles, buffer, EdgeTable.from_triangles(triangles, 4))
    smooth.square().sum().backward()
    assert torch.isfinite(smooth).all() and torch.isfinite(clip.grad).all()


def test_coverage_gradients_point_where_a_supersampled_render_says():
    cosine, after, before = coverage_cosine(rasterizer("numba"), 1000, directions=6)
    assert cosine >= 0.98
    assert after > before + 8


@pytest.mark.slow
@pytest.mark.parametrize("triangle_count", [1000, 5000, 20_000])
def test_coverage_cosine_reaches_its_limit_at_every_mesh_size(triangle_count):
    cosine, after, before = coverage_cosine(rasterizer("numba"), triangle_count)
    assert cosine >= 0.99
    assert after > before + 10


def test_numba_refuses_what_it_cannot_take_and_unknown_names_are_told():
    clip, triangles, _ = scene(torch.float64)
    with pytest.raises(DeviceError, match="reference"):
        rasterizer("numba").visibility(clip, triangles, SIZE)
    with pytest.raises(DeviceError, match="nvdiffrast"):
        rasterizer("rasterize")


def test_interpolation_takes_another_index_than_the_one_drawn():
    clip, triangles, _ = scene(torch.float32)
    corners = torch.arange(3 * len(triangles), dtype=torch.int32).reshape(-1, 3)
    attributes = torch.as_tensor(np.random.default_rng(0).random((3 * len(triangles), 2)), dtype=torch.float32)
    results = []
    for name in ("reference", "numba"):
        raster = rasterizer(name)
        results.append(raster.interpolate(attributes, corners, raster.visibility(clip, triangles, SIZE)))
    torch.testing.assert_close(*results, rtol=0, atol=1e-4)
