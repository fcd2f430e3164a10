"""Visibility: who is seen at every pixel centre, in well-behaved views and in hostile ones.

`soup` is a cloud of random triangles given directly in clip space, many behind the camera, through the near or far
plane, off the screen, huge or degenerate; reference and numba must name the same triangle at every pixel. The hardware
rasterizer of webgpu keeps every promise here too; where its snapping may differ is in test_webgpu_visibility.py.
"""

import numba
import numpy as np
import pytest
import torch

from engine.raster import rasterizer
from engine.raster.bench import bench_camera, clip_of, displaced_icosphere

IMPLEMENTATIONS = ["reference", "numba", "webgpu"]


def soup(seed: int, count: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    center = rng.uniform(-1.5, 1.5, (count, 1, 3))
    points = center + rng.normal(size=(count, 3, 3)) * rng.choice([0.05, 0.2, 1.0], (count, 1, 1), p=[0.4, 0.5, 0.1])
    depth = points[..., 2] * 2 + 2.5  # camera depth around 2.5, often negative
    near, far = 0.5, 5.0
    clip = np.stack(
        [points[..., 0] * 2, points[..., 1] * 2, ((far + near) * depth - 2 * far * near) / (far - near), depth], -1
    ).reshape(-1, 4)
    triangles = np.arange(count * 3, dtype=np.int32).reshape(-1, 3)
    triangles[::17, 2] = triangles[::17, 1]  # degenerate: a repeated vertex
    clip[3 * 5 + 2] = clip[3 * 5 + 1]  # degenerate: two equal positions
    return torch.from_numpy(clip).float(), torch.from_numpy(triangles)


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_numba_sees_what_the_reference_sees(seed, cull):
    clip, triangles = soup(seed)
    size = (61, 90)
    theirs = rasterizer("reference").visibility(clip, triangles, size, cull)
    ours = rasterizer("numba").visibility(clip, triangles, size, cull)
    different = (ours.triangle_id != theirs.triangle_id).sum().item()
    assert different <= 2, f"{different} of {61 * 90} pixels differ"  # ties within float rounding
    assert 0.1 < (ours.triangle_id > 0).float().mean() < 1
    if different == 0:
        torch.testing.assert_close(ours.barycentrics, theirs.barycentrics, rtol=0, atol=2e-5)
        torch.testing.assert_close(ours.depth, theirs.depth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_everything_drawn_lies_between_near_and_far(name):
    clip, triangles = soup(7)
    buffer = rasterizer(name).visibility(clip, triangles, (64, 64))
    weights = torch.cat([buffer.barycentrics, 1 - buffer.barycentrics.sum(1, keepdim=True)], 1)
    assert weights.min() > -0.02
    points = (weights[..., None] * clip[triangles[buffer.triangle].long()]).sum(1)
    assert (buffer.depth > 0).all() and (points[:, 2].abs() <= points[:, 3] * 1.001).all()
    x, y = buffer.pixel % 64 + 0.5, buffer.pixel // 64 + 0.5
    good = points[:, 3] > 0.05
    torch.testing.assert_close(((points[:, 0] / points[:, 3] + 1) * 32)[good], x.float()[good], rtol=0, atol=2e-2)
    torch.testing.assert_close(((points[:, 1] / points[:, 3] + 1) * 32)[good], y.float()[good], rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_list_and_the_image_agree(name):
    clip, triangles = soup(3)
    buffer = rasterizer(name).visibility(clip, triangles, (40, 56))
    flat = buffer.triangle_id.reshape(-1)
    assert torch.equal(buffer.pixel, torch.nonzero(flat)[:, 0])
    assert torch.equal(buffer.triangle, flat[buffer.pixel].long() - 1)
    assert buffer.triangle_id.dtype == torch.int32 and buffer.pixel.dtype == torch.int64


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_a_floor_that_runs_under_the_camera_fills_the_lower_half(name):
    # y = 1 below the eye, from 10 behind the camera to 10 before it; the horizon is the middle row
    floor = torch.tensor([[-50.0, 1, -10], [50, 1, -10], [50, 1, 10], [-50, 1, 10]])
    near, far = 0.1, 100.0
    z = floor[:, 2]
    clip = torch.stack([floor[:, 0], floor[:, 1], ((far + near) * z - 2 * far * near) / (far - near), z], 1)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    buffer = rasterizer(name).visibility(clip, triangles, (64, 64))
    rows = (buffer.triangle_id > 0).sum(1)
    horizon = 32 + 3  # the far end at depth 10 projects to y/w = 0.1
    assert not rows[:horizon].any() and (rows[horizon + 1 :] == 64).all()


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_nothing_behind_the_camera_is_drawn(name):
    clip = torch.tensor([[-1.0, -1, -1.2, -1], [1, -1, -1.2, -1], [0, 1, -1.2, -1]])
    buffer = rasterizer(name).visibility(clip, torch.tensor([[0, 1, 2]], dtype=torch.int32), (16, 16))
    assert len(buffer.pixel) == 0 and buffer.barycentrics.shape == (0, 2)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_bad_numbers_and_no_triangles_draw_nothing(name):
    raster = rasterizer(name)
    bad = torch.tensor([[float("nan"), 0, 0, 1], [1, 0, 0, 1], [0, float("inf"), 0, 1]])
    assert len(raster.visibility(bad, torch.tensor([[0, 1, 2]], dtype=torch.int32), (8, 8)).pixel) == 0
    assert len(raster.visibility(bad, torch.zeros((0, 3), dtype=torch.int32), (8, 8)).pixel) == 0


def fan(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A star of triangles whose hub lies exactly on a pixel centre and whose rim lies beyond the frame."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 23))
    angles = np.concatenate([angles, [0, np.pi / 2, np.pi, 3 * np.pi / 2]])  # edges along rows and columns of centres
    angles.sort()
    hub = np.array([[1 / 32, 1 / 32, 0.0, 1.0]])
    rim = np.stack([3 * np.cos(angles), 3 * np.sin(angles), 0 * angles, 1 + 0 * angles], 1)
    rim[:, :2] += hub[:, :2]
    n = len(angles)
    triangles = np.stack([np.zeros(n), 1 + np.arange(n), 1 + (np.arange(n) + 1) % n], 1).astype(np.int32)
    return torch.from_numpy(np.concatenate([hub, rim])).float(), torch.from_numpy(triangles)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_shared_edges_leave_no_hole_and_claim_no_pixel_twice(name, seed):
    clip, triangles = fan(seed)
    raster, size = rasterizer(name), (32, 32)
    buffer = raster.visibility(clip, triangles, size)
    assert (buffer.triangle_id > 0).all()
    owners = sum((raster.visibility(clip, one[None], size).triangle_id > 0).int() for one in triangles)
    assert (owners == 1).all()


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_a_closed_surface_has_no_pinholes(name):
    vertices, triangles = displaced_icosphere(5000)
    camera = bench_camera(96)
    clip = clip_of(torch.as_tensor(vertices, dtype=torch.float32), camera)
    corners = torch.from_numpy(triangles)
    back = rasterizer(name).visibility(clip, corners.flip(1).contiguous(), (96, 96), True)
    front = rasterizer(name).visibility(clip, corners, (96, 96), True)
    assert torch.equal(front.triangle_id > 0, back.triangle_id > 0)  # a hole would show the inside in one of them only
    either = rasterizer(name).visibility(clip, corners, (96, 96))
    assert torch.equal(either.triangle_id, front.triangle_id)


@pytest.mark.parametrize("flipped", [False, True])
def test_triangles_that_face_away_are_seen_through_holes(flipped):
    """Either side of a surface with every third triangle gone, as the reference sees it."""
    vertices, triangles = displaced_icosphere(2000)
    corners = torch.from_numpy(triangles[np.arange(len(triangles)) % 3 > 0])
    corners = corners.flip(1).contiguous() if flipped else corners
    clip = clip_of(torch.as_tensor(vertices, dtype=torch.float32), bench_camera(80))
    ours, theirs = (rasterizer(name).visibility(clip, corners, (72, 80)).triangle_id for name in ("numba", "reference"))
    assert (ours != theirs).sum() <= 1


@pytest.mark.parametrize("reach", [2, 20, 900])
def test_triangles_that_reach_far_beyond_a_small_frame(reach):
    points = np.random.default_rng(reach).uniform(-reach, reach, (90, 2))
    clip = torch.tensor([[x, y, 0.01 * i, 1 + 0.01 * i] for i, (x, y) in enumerate(points)], dtype=torch.float32)
    triangles = torch.arange(90, dtype=torch.int32).reshape(-1, 3)
    ours, theirs = (rasterizer(n).visibility(clip, triangles, (40, 40)).triangle_id for n in ("numba", "reference"))
    assert (ours != theirs).sum() <= 2


@pytest.mark.parametrize("size", [(300, 9), (9, 300)])
def test_large_and_small_triangles_share_edges_without_holes(size):
    """Edge functions of large triangles are 64 bits wide, those of small ones 32."""
    points = [[-1, -1], [1, -1], [1, 1], [-1, 1], *([-1, y] for y in np.linspace(-0.97, 0.97, 60))]
    clip = torch.tensor([[1.2 * x, 1.2 * y, 0, 1] for x, y in points], dtype=torch.float32)
    left = [0, *range(4, 64), 3]
    triangles = torch.tensor([[a, 1, b] for a, b in zip(left, left[1:], strict=False)] + [[1, 2, 3]], dtype=torch.int32)
    owners = sum((rasterizer("numba").visibility(clip, one[None], size).triangle_id > 0).int() for one in triangles)
    assert (owners == 1).all()


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_of_equal_depths_the_smallest_index_wins(name):
    clip = torch.tensor([[-2.0, -2, 0, 1], [6, -2, 0, 1], [-2, 6, 0, 1]])
    triangles = torch.tensor([[0, 1, 2]] * 3 + [[1, 2, 0]], dtype=torch.int32)
    assert (rasterizer(name).visibility(clip, triangles, (9, 9)).triangle_id == 1).all()


def test_visibility_has_the_same_bits_on_any_thread_count():
    clip, triangles = soup(5, 900)
    raster, most = rasterizer("numba"), numba.get_num_threads()
    many = raster.visibility(clip, triangles, (130, 97))
    try:
        numba.set_num_threads(1)
        one = raster.visibility(clip, triangles, (130, 97))
    finally:
        numba.set_num_threads(most)
    for field in ("triangle_id", "pixel", "triangle", "barycentrics", "depth"):
        assert getattr(one, field).numpy().tobytes() == getattr(many, field).numpy().tobytes(), field
