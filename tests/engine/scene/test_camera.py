"""Cameras of parts of an image see the same world."""

from __future__ import annotations

import numpy as np

from engine.scene.camera import look_at


def test_a_cropped_camera_sees_the_part_where_it_lies():
    camera = look_at(np.array([3.0, 1, 2]), np.zeros(3), np.array([0.0, 0, 1]), 50.0, 64, 48)
    part = camera.cropped(10, 5, 30, 20)
    assert part.size == (20, 30)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    np.testing.assert_allclose(part.project(points)[0] + [10, 5], camera.project(points)[0])
    np.testing.assert_allclose(part.rays()[1], camera.rays()[1][5:25, 10:40])
    near, far = camera.depth_range(np.array([[-1.0] * 3, [1.0] * 3]))
    clip = np.append(points[0], 1) @ part.clip_from_world(near, far).T
    pixel = (clip[:2] / clip[3] + 1) / 2 * [30, 20]
    np.testing.assert_allclose(pixel + [10, 5], camera.project(points[:1])[0][0])
