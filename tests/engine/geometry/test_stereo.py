"""PatchMatch stereo: the kernel correlates as plain NumPy does, and made-up textured surfaces have the right depth."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from engine.geometry.stereo import TOLERANCE, _confirmed, _relative, _stacked, luminance, sources_of, stereo_depths
from engine.geometry.stereo_kernels import UNKNOWN, UNTRIED, match
from engine.scene import Camera
from engine.scene.camera import look_at
from tests.engine.geometry.ball_views import ball_depth
from tests.references.patch_correlation import patch_cost

UP = np.array([0.0, 1.0, 0.0])
RADIUS = 0.9
NORMAL = np.array([0.45, 0.3, 1.0])  # of the slanted plane through the origin


def ring(count: int, size: int = 96, angle: float = 10.0) -> list[Camera]:
    """One camera on the z axis and the others on a cone of `angle` degrees around it, all looking at the origin."""
    cameras = []
    for i in range(count):
        turn, tilt = i * 2 * np.pi / max(count - 1, 1), np.radians(angle if i else 0.0)
        eye = 3 * np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])
        cameras.append(look_at(eye, np.zeros(3), UP, 1.4 * size, size, size))
    return cameras


def plane_depth(camera: Camera) -> np.ndarray:
    """[H,W] camera depth of the slanted plane."""
    origin, directions = camera.rays()
    return -(origin @ NORMAL) / (directions @ NORMAL) * (directions @ camera.forward)


def sphere_depth(camera: Camera) -> np.ndarray:
    return ball_depth(camera, RADIUS)


def texture(points: np.ndarray) -> np.ndarray:
    """[...,3] colours of waves through space, at least 8 pixels long in pictures of 96 pixels."""
    random = np.random.default_rng(4)
    waves = random.normal(size=(24, 3))
    waves *= random.uniform(8, 30, (24, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
    value = np.sin(points @ waves.T + random.uniform(0, 6, 24)).sum(-1) / np.sqrt(24)
    return np.clip(0.5 + 0.25 * value, 0, 1)[..., None] * np.array([1.0, 0.9, 0.8])


def photo(camera: Camera, depth: np.ndarray, plain: bool = False) -> np.ndarray:
    """[H,W] luminance of a surface given by its depth, 0 beside it."""
    origin, directions = camera.rays()
    known = np.isfinite(depth)
    along = np.where(known, depth, 1) / (directions @ camera.forward)
    points = origin + along[..., None] * directions
    color = np.full(points.shape, 0.5) if plain else texture(points)
    return luminance(np.where(known[..., None], color, 0))


def depths_of(cameras: list[Camera], surface, plain: bool = False, **options) -> list[np.ndarray]:
    """What stereo finds between 2 and 4 units from each camera, with nothing to start from."""
    truths = [surface(camera) for camera in cameras]
    return stereo_depths(
        cameras,
        [photo(camera, truth, plain) for camera, truth in zip(cameras, truths, strict=True)],
        [np.isfinite(truth) for truth in truths],
        [(np.full(truth.shape, 2.0), np.full(truth.shape, 4.0)) for truth in truths],
        [[np.full(truth.shape, np.inf)] for truth in truths],
        np.zeros(3),
        **options,
    )


def on_threads(count: int, work):
    threads = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        return work()
    finally:
        numba.set_num_threads(threads)


def random_match(seed: int, count: int, border: int = 0):
    """One half-step of `match` on noise: (arguments of the twin, planes before and after, costs, who was matched)."""
    random = np.random.default_rng(seed)
    camera, *sources = ring(count + 1, 28)
    sources = [source.resized(28 + 6 * i, 28 + 4 * i) for i, source in enumerate(sources)]  # different sizes
    smooth = np.cumsum(random.normal(size=(2, 64, 64)), 1)  # neighbours alike
    pictures = [(0.5 + 0.1 * smooth[i % 2, : s.height, : s.width]).astype(np.float32) for i, s in enumerate(sources)]
    image = (0.5 + 0.1 * random.normal(size=camera.size)).astype(np.float32)
    mask = random.random(camera.size) < 0.8
    planes = np.zeros((*camera.size, 3), np.float32)
    planes[..., 0] = random.uniform(0.25, 0.5, camera.size)
    planes[..., 1:] = random.uniform(-0.01, 0.01, (*camera.size, 2))
    before, costs = planes.copy(), np.full(camera.size, UNTRIED, np.float32)
    stack, sizes = _stacked(pictures)
    parts = zip(*(_relative(camera, source) for source in sources), strict=True)
    turns, shifts = (np.stack(part).astype(np.float32) for part in parts)
    near, far = np.full(camera.size, 2, np.float32), np.full(camera.size, 4, np.float32)
    focal = np.float32(camera.focal[0])
    rest = (np.float32(0.5), np.uint32(seed))
    match(image, mask, near, far, focal, stack, sizes, turns, shifts, planes, costs, 0, *rest)
    rows, columns = np.indices(camera.size)
    twin = (camera, image, mask, list(zip(sources, pictures, strict=True)))
    return twin, before, planes, costs, mask & ((rows + columns) % 2 == 0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_kernel_correlates_as_the_reference_does(count):
    twin, before, after, costs, matched = random_match(count, count)
    assert np.array_equal(before[~matched], after[~matched]) and (costs[~matched] == UNTRIED).all()
    agreeing, left = 0, 0
    for y, x in np.argwhere(matched):
        expected = patch_cost(*twin, (y, x), after[y, x])
        if np.isnan(expected):
            assert costs[y, x] == UNKNOWN and np.array_equal(before[y, x], after[y, x])
            continue
        left += expected == 2
        assert costs[y, x] == pytest.approx(expected, abs=2e-4)
        assert costs[y, x] <= patch_cost(*twin, (y, x), before[y, x]) + 2e-4
        agreeing += expected < 0.9
    assert agreeing > 60 and left > 0, "planes that stay in the pictures and, at the borders, some that do not"


def test_found_planes_keep_to_their_range():
    _, _, planes, costs, matched = random_match(7, 2)
    assert (planes[matched, 0] >= 0.25).all() and (planes[matched, 0] <= 0.5).all()
    assert np.isfinite(planes).all() and (costs[matched] <= 2.0001).all()


@pytest.mark.parametrize("surface, correct", [(plane_depth, 0.9), (sphere_depth, 0.85)])
def test_depths_of_a_textured_surface_are_right(surface, correct):
    cameras = ring(6)
    found, truth = depths_of(cameras, surface)[0], surface(cameras[0])
    margin = 8  # patches and the other pictures end
    inner = np.zeros(truth.shape, bool)
    inner[margin:-margin, margin:-margin] = True
    inner &= np.isfinite(truth) & (ball_depth(cameras[0], 0.75 * RADIUS) < np.inf)
    known = inner & (found > 0)
    error = np.abs(found[known] / truth[known] - 1)
    assert known.sum() > correct * inner.sum()
    assert np.median(error) < 0.002 and (error < TOLERANCE).mean() > 0.97
    assert not found[~np.isfinite(truth)].any()


def test_where_there_is_no_texture_nothing_is_known():
    for depth in depths_of(ring(5, 48), plane_depth, plain=True):
        assert not depth.any()


def test_the_same_bits_on_any_thread_count_and_for_a_seed():
    cameras = ring(4, 40)
    one, two = (on_threads(n, lambda: depths_of(cameras, sphere_depth)) for n in (1, numba.config.NUMBA_NUM_THREADS))
    other = depths_of(cameras, sphere_depth, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert any(np.any(a) for a in one) and not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_single_camera_knows_nothing():
    told = []
    (depth,) = depths_of(ring(1, 32), sphere_depth, progress=lambda *step: told.append(step))
    assert depth.shape == (32, 32) and depth.dtype == np.float32 and not depth.any()


def test_pictures_may_differ_in_size_and_shape():
    sizes = [(64, 64), (80, 72), (56, 64), (90, 90), (64, 48)]
    cameras = [camera.resized(*size) for camera, size in zip(ring(5, 64), sizes, strict=True)]
    for camera, depth in zip(cameras, depths_of(cameras, plane_depth), strict=True):
        truth = plane_depth(camera)
        known = depth > 0
        assert depth.shape == camera.size and known.mean() > 0.4
        assert (np.abs(depth[known] / truth[known] - 1) < TOLERANCE).mean() > 0.95


def test_progress_is_told_of_every_camera_and_may_stop_the_work():
    told = []
    depths_of(ring(3, 24), sphere_depth, progress=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        depths_of(ring(3, 24), sphere_depth, progress=stop)


def test_cameras_too_near_or_too_far_apart_are_no_sources():
    directions = np.radians([0.0, 0.3, 12.0, 30.0, 90.0])
    cameras = [look_at(3 * np.array([np.sin(a), 0, np.cos(a)]), np.zeros(3), UP, 50, 32, 32) for a in directions]
    chosen = sources_of(cameras, np.zeros(3))
    assert chosen[0].tolist() == [2, 3], "best first; neither itself, its near copy, nor the one at a right angle"
    assert chosen[4].tolist() == []


def test_copies_of_one_photo_confirm_no_depth():
    cameras = ring(1, 40) * 4  # without parallax every depth correlates
    truths = [sphere_depth(camera) for camera in cameras]
    guesses = [[np.full(camera.size, 3.0)] for camera in cameras]
    ranges = [(np.full(camera.size, 2.0), np.full(camera.size, 4.0)) for camera in cameras]
    photos = [photo(camera, truth) for camera, truth in zip(cameras, truths, strict=True)]
    masks = [np.isfinite(truth) for truth in truths]
    for depth in stereo_depths(cameras, photos, masks, ranges, guesses, np.zeros(3)):
        assert not depth.any()


def test_depths_that_other_maps_contradict_are_dropped():
    cameras = ring(5, 64)
    chosen = sources_of(cameras, np.zeros(3))
    depths = [plane_depth(camera).astype(np.float32) for camera in cameras]
    inner = np.s_[16:-16, 16:-16]
    agreed = _confirmed(cameras, depths, chosen)
    assert all((kept[inner] > 0).all() for kept in agreed)
    wrong = [depths[0] * np.float32(1 + 3 * TOLERANCE), *depths[1:]]
    kept = _confirmed(cameras, wrong, chosen)
    assert not kept[0][inner].any() and (kept[1][inner] > 0).all(), "one bad map falls, the others stand"
    silent = [depths[0], depths[1], *(np.zeros_like(depth) for depth in depths[2:])]
    assert not _confirmed(cameras, silent, chosen)[0].any(), "one other map is too few"


def test_pixels_that_are_no_numbers_and_tiny_pictures_do_no_harm():
    cameras = ring(4, 48)
    truths = [sphere_depth(camera) for camera in cameras]
    photos = [photo(camera, truth) for camera, truth in zip(cameras, truths, strict=True)]
    photos[0][30, 30] = photos[1][20:24, 20:30] = np.nan
    masks = [np.isfinite(truth) for truth in truths]
    ranges = [(np.full(truth.shape, 2.0), np.full(truth.shape, 4.0)) for truth in truths]
    for depth in stereo_depths(cameras, photos, masks, ranges, [[np.full((48, 48), np.nan)]] * 4, np.zeros(3)):
        assert np.isfinite(depth).all() and (depth > 0).mean() > 0.2
    dots = [camera.resized(1, 1) for camera in cameras]
    one = np.ones((1, 1), np.float32)
    for depth in stereo_depths(dots, [one] * 4, [one > 0] * 4, [(2 * one, 4 * one)] * 4, [[]] * 4, np.zeros(3)):
        assert depth.tolist() == [[0.0]]
