"""Visibility by WGSL against the CPU's: where they may differ, in chunks, after a lost device; and the locate pass."""

import numpy as np
import pytest
import torch

from engine.errors import DeviceError
from engine.kernels.webgpu import gpu
from engine.raster import rasterizer
from engine.raster.bench import bench_camera, clip_of, displaced_icosphere
from engine.raster.webgpu.rasterizer import parts
from engine.raster.webgpu.visibility import LocatePass, VisibilityPass

SNAPPING = 1 / 256  # pixels


def bumpy(triangle_count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    vertices, triangles = displaced_icosphere(triangle_count)
    clip = clip_of(torch.as_tensor(vertices, dtype=torch.float32), bench_camera(size))
    return clip, torch.from_numpy(triangles)


def distance_to_edges(clip: np.ndarray, corners: np.ndarray, x: float, y: float, size: tuple[int, int]) -> float:
    """Pixels from (x, y) to the nearest edge of a triangle with vertices `corners`."""
    at = (clip[corners, :2] / clip[corners, 3:] + 1) * 0.5 * np.array([size[1], size[0]])
    least = np.inf
    for a, b in zip(at, np.roll(at, -1, axis=0), strict=True):
        t = np.clip(((x, y) - a) @ (b - a) / max((b - a) @ (b - a), 1e-30), 0, 1)
        least = min(least, np.linalg.norm(a + t * (b - a) - (x, y)))
    return float(least)


@pytest.mark.parametrize("cull", [False, True])
def test_only_pixels_on_an_edge_differ_from_the_exact_ones(cull):
    size = (200, 256)
    clip, triangles = bumpy(20_000, 256)
    ours, exact = (rasterizer(name).visibility(clip, triangles, size, cull) for name in ("webgpu", "numba"))
    rows, columns = torch.nonzero(ours.triangle_id != exact.triangle_id, as_tuple=True)
    assert len(rows) < 2e-3 * (exact.triangle_id > 0).sum()
    points = clip.double().numpy()
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        shown = [int(image[y, x]) - 1 for image in (ours.triangle_id, exact.triangle_id)]
        near = [distance_to_edges(points, triangles[t].numpy(), x + 0.5, y + 0.5, size) for t in shown if t >= 0]
        assert min(near) < SNAPPING, (x, y, shown, near)


def test_barycentrics_and_depth_are_the_cpus_where_the_triangle_is():
    clip, triangles = bumpy(5000, 128)
    ours, exact = (rasterizer(name).visibility(clip, triangles, (128, 128)) for name in ("webgpu", "numba"))
    same = (ours.triangle_id == exact.triangle_id).reshape(-1)
    for field in ("barycentrics", "depth", "triangle"):
        mine, theirs = (getattr(buffer, field)[same[buffer.pixel]] for buffer in (ours, exact))
        assert torch.equal(mine, theirs), field


def test_gradients_are_the_cpus():
    clip, triangles = bumpy(2000, 96)
    rasters = [rasterizer(name) for name in ("webgpu", "numba")]
    shown = [raster.visibility(clip, triangles, (96, 96), True).triangle_id for raster in rasters]
    same = (shown[0] == shown[1])[..., None]
    gradients = []
    for raster in rasters:
        leaf, colors = clip.clone().requires_grad_(), torch.sin(3 * clip[:, :3]).requires_grad_()
        buffer = raster.visibility(leaf, triangles, (96, 96), True)
        image = raster.compose(raster.interpolate(colors, triangles, buffer), buffer, torch.zeros(3))
        (image**2 * same).sum().backward()
        gradients.append((leaf.grad, colors.grad))
    for ours, exact in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, exact, rtol=0, atol=1e-5 * float(exact.abs().max()))


def test_what_tensors_on_another_device_get_is_the_same():
    """The path of CUDA tensors, here with the CPU as the other device: numbers by WebGPU, the rest by the reference."""
    clip, triangles = bumpy(2000, 96)
    raster, weights = rasterizer("webgpu"), torch.rand(2, generator=torch.Generator().manual_seed(0))
    buffers, gradients = [], []
    for draw in (raster.visibility, raster._visibility_elsewhere):
        leaf = clip.clone().requires_grad_()
        buffers.append(draw(leaf, triangles, (90, 96), True))
        (buffers[-1].barycentrics @ weights).sum().backward()
        gradients.append(leaf.grad)
    for field, tolerance in (
        ("triangle_id", 0),
        ("pixel", 0),
        ("triangle", 0),
        ("barycentrics", 2e-5),
        ("depth", 1e-5),
    ):
        here, there = (getattr(buffer, field) for buffer in buffers)
        torch.testing.assert_close(there, here, rtol=0, atol=tolerance)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-4 * float(gradients[0].abs().max()))


def test_the_same_inputs_give_the_same_bits():
    clip, triangles = bumpy(5000, 100)
    buffers = [rasterizer("webgpu").visibility(clip, triangles, (90, 100)) for _ in range(3)]
    for other in buffers[1:]:
        for field in ("triangle_id", "pixel", "barycentrics", "depth"):
            assert torch.equal(getattr(buffers[0], field), getattr(other, field)), field


@pytest.mark.parametrize("limit", [64 * 12, 5000, 40_000])
def test_buffers_beyond_one_binding_are_drawn_in_parts(limit, monkeypatch):
    clip, triangles = bumpy(2000, 64)
    whole = rasterizer("webgpu").visibility(clip, triangles, (64, 64), True).triangle_id
    monkeypatch.setitem(gpu().limits, "max-storage-buffer-binding-size", limit)
    assert torch.equal(rasterizer("webgpu").visibility(clip, triangles, (64, 64), True).triangle_id, whole)


def test_parts_hold_every_triangle_once_with_its_own_vertices():
    positions = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    corners = np.random.default_rng(1).integers(0, 300, (500, 3)).astype(np.int32)
    found = list(parts(positions, corners, 1000))
    assert len(found) > 1 and [first for first, _, _ in found] == list(
        np.cumsum([0, *(len(c) for *_, c in found)])[:-1]
    )
    assert all(points.nbytes <= 1000 for _, points, _ in found)
    assert np.array_equal(np.concatenate([points[c] for _, points, c in found]), positions[corners])
    assert list(parts(positions, corners, positions.nbytes)) == [(0, positions, corners)]


def test_a_lost_device_is_opened_again_and_the_view_drawn():
    clip, triangles = bumpy(2000, 64)
    raster = rasterizer("webgpu")
    before = raster.visibility(clip, triangles, (64, 64)).triangle_id
    lost = gpu()
    lost.destroy()
    assert torch.equal(raster.visibility(clip, triangles, (64, 64)).triangle_id, before)
    assert lost.lost and not gpu().lost


def test_image_sizes_come_and_go():
    clip, triangles = bumpy(500, 64)
    raster = rasterizer("webgpu")
    for size in [(64, 64), (3, 130), (65, 1), (64, 64), (33, 20), (20, 33), (8, 8), (3, 130)]:
        ours, exact = (r.visibility(clip, triangles, size).triangle_id for r in (raster, rasterizer("numba")))
        assert ours.shape == size and (ours != exact).sum() <= 2


def test_an_image_beyond_the_device_is_refused_in_one_sentence():
    clip, triangles = bumpy(20, 8)
    with pytest.raises(DeviceError, match=r"image of 9x1000000 pixels is larger than .*--device cpu") as error:
        rasterizer("webgpu").visibility(clip, triangles, (1_000_000, 9))
    assert "\n" not in str(error.value)
    with pytest.raises(DeviceError, match="float32"):
        rasterizer("webgpu").visibility(clip.double(), triangles, (8, 8))


def test_the_locate_pass_recomputes_what_the_cpu_does():
    clip, triangles = bumpy(5000, 128)
    size = (100, 128)
    drawing = VisibilityPass(gpu(), size)
    locating = LocatePass(drawing)
    positions, corners = gpu().buffer(clip.numpy()), gpu().buffer(triangles.numpy())
    encoder = gpu().encoder()
    drawing.encode(encoder, positions, corners, len(triangles), True)
    readback = gpu().readback(encoder, locating.encode(encoder, positions, corners), np.float32, (*size, 4))
    gpu().submit(encoder)
    located = readback.array().reshape(-1, 4)
    exact = rasterizer("webgpu").visibility(clip, triangles, size, True)
    assert np.array_equal(located[:, 3].view(np.uint32).reshape(size), exact.triangle_id.numpy())
    pixel = exact.pixel.numpy()
    assert np.abs(located[pixel, :2] - exact.barycentrics.numpy()).max() < 1e-3
    assert np.abs(located[pixel, 2] - exact.depth.numpy()).max() < 1e-4
    assert not located[exact.triangle_id.reshape(-1).numpy() == 0].any()
