"""Depth maps fuse into the distance of the surface they show, each with its weight."""

from __future__ import annotations

import numba
import numpy as np

from engine.geometry.fusion import TRUNCATION, fused_distance
from tests.engine.geometry.ball_views import BOX, RADIUS, ball, ball_depth, views


def balls(count: int, radius: float = RADIUS, weight: float = 1.0, size: int = 96):
    return [(camera, ball_depth(camera, radius), weight) for camera in views(count, size)]


def test_depth_maps_of_a_ball_fuse_into_its_distance():
    resolution = 40
    fused = fused_distance(iter(balls(24)), BOX, resolution)
    cell, truth = 2 / resolution, ball(resolution)
    assert fused.shape == truth.shape and fused.dtype == np.float32
    near = np.abs(truth) < 0.5 * cell
    # distances along the rays are longer than those to the surface, but zero stays where it is
    assert abs((fused - truth)[near].mean()) < 0.15 * cell and np.abs(fused - truth)[near].mean() < 0.5 * cell
    assert (fused[truth < -1.5 * cell] < 0).all() and np.abs(fused).max() <= TRUNCATION * cell * 1.001
    seen = (truth > 1.5 * cell) & (truth < 3 * cell)
    assert (fused[seen] > 0).mean() > 0.95


def test_weights_say_which_of_two_surfaces_is_believed():
    resolution, cell = 32, 2 / 32
    small, large = RADIUS - 0.5 * cell, RADIUS + 0.5 * cell
    only = {radius: fused_distance(balls(12, radius), BOX, resolution) for radius in (small, large)}
    both = fused_distance([*balls(12, small, 3.0), *balls(12, large, 1.0)], BOX, resolution)
    near = np.abs(ball(resolution)) < 0.5 * cell
    low, middle, high = (field[near].mean() for field in (only[large], both, only[small]))
    assert 0.6 < (middle - low) / (high - low) < 0.9, "three quarters of the way to what weighs three times as much"


def test_only_ratios_of_weights_matter():
    light, heavy = (
        fused_distance([*balls(3, RADIUS, w, 32), *balls(5, 0.5, 2 * w, 32)], BOX, 12) for w in (0.125, 8.0)
    )
    assert np.array_equal(light, heavy)


def test_a_map_that_knows_nothing_or_weighs_nothing_changes_nothing():
    camera = views(1, 32)[0]
    unknown = np.full(camera.size, np.inf)
    expected = fused_distance(balls(5, size=32), BOX, 12)
    more = [(camera, unknown, 1.0), (camera, np.full(camera.size, np.nan), 1.0), (camera, np.ones(camera.size), 0.0)]
    assert np.array_equal(fused_distance([*balls(5, size=32), *more], BOX, 12), expected)


def test_what_no_map_sees_is_inside():
    limit = np.float32(TRUNCATION * 2 / 8)
    assert (fused_distance([], BOX, 8) == -limit).all()
    camera = views(1, 32)[0]
    behind = fused_distance([(camera, np.full(camera.size, 0.5), 1.0)], BOX, 8)  # a wall before the whole box
    assert (behind == -limit).all()


def test_the_box_may_be_longer_than_wide():
    box = np.array([[-1.0, -0.75, -0.75], [1.0, 0.75, 0.75]])
    fused = fused_distance(balls(12, size=48), box, 24)
    assert fused.shape == (25, 25, 25)
    points = np.stack(np.meshgrid(*np.linspace(*box, 25).T, indexing="ij"), -1)
    truth = np.linalg.norm(points, axis=-1) - RADIUS
    cell = 2 / 24
    assert (fused[truth < -cell] < 0).all() and (fused[(truth > cell) & (truth < 2 * cell)] > 0).mean() > 0.9


def test_the_same_bits_on_any_thread_count():
    threads = numba.get_num_threads()
    expected = fused_distance(balls(5, size=32), BOX, 12)
    for count in {1, threads}:
        numba.set_num_threads(count)
        try:
            found = fused_distance(balls(5, size=32), BOX, 12)
        finally:
            numba.set_num_threads(threads)
        assert np.array_equal(found, expected)
