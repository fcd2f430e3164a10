"""The reference's discs against rays met with planes by hand (arXiv 2403.17888)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.scene.camera import look_at
from engine.splats.constants import ALPHA_MIN
from engine.splats.surface_terms import normal_consistency
from tests.engine.splats.test_reference import shown, splat, together

TILT = (math.cos(0.4), 0.0, math.sin(0.4), 0.0)  # 0.8 rad about y


def disc(z: float, opacity: float = 0.8, scale: float = 0.5, **more):
    return splat(z, opacity, (scale, scale, 1e-7), kind="surface", **more)


def test_a_disc_that_faces_the_camera_is_a_gaussian_of_the_plane():
    image = shown(disc(4.0), depth=True)
    x, y = np.meshgrid((np.arange(31) - 15.0) * 4 / 50, (np.arange(21) - 10.0) * 4 / 40)
    expected = 0.8 * np.exp(-0.5 * (x**2 + y**2) / 0.5**2)
    expected[expected < ALPHA_MIN] = 0
    np.testing.assert_allclose(image.alpha, expected, atol=1e-7)
    np.testing.assert_allclose(image.depth, 4 * expected, atol=1e-6)
    np.testing.assert_allclose(image.normal[10, 15], [0, 0, -0.8], atol=1e-6)
    assert image.radii.tolist() == [math.ceil(0.5 * math.sqrt(2 * math.log(0.8 / ALPHA_MIN)) * 50 / 4)]


def test_a_tilted_disc_has_the_depth_and_fall_off_of_where_its_plane_is_met():
    image = shown(disc(4.0, rotation=TILT), depth=True)
    tangent = np.array([math.cos(0.8), 0, -math.sin(0.8)])
    normal = np.array([math.sin(0.8), 0, math.cos(0.8)])
    for row, column in ((10, 12), (10, 18), (13, 19), (6, 15)):
        ray = np.array([(column - 15) / 50, (row - 10) / 40, 1.0])
        hit = ray * (4 * normal[2] / (ray @ normal))
        u, v = (hit - [0, 0, 4]) @ tangent / 0.5, hit[1] / 0.5
        alpha = 0.8 * math.exp(-0.5 * (u * u + v * v))
        assert float(image.alpha[row, column]) == pytest.approx(alpha, rel=1e-5)
        assert float(image.depth[row, column]) == pytest.approx(alpha * hit[2], rel=1e-5)
        np.testing.assert_allclose(image.normal[row, column], -alpha * normal, rtol=1e-5, atol=1e-7)
    assert float(image.median_depth[10, 15]) == pytest.approx(4.0, rel=1e-6)


@pytest.mark.parametrize("rotation", [(1, 0, 0, 0), (math.sqrt(0.5), 0, math.sqrt(0.5), 0)])
def test_a_tiny_disc_or_one_seen_edge_on_is_as_wide_as_the_screen_filter(rotation):
    scale = 1e-5 if rotation[0] == 1 else 1e-3
    image = shown(disc(4.0, scale=scale, rotation=rotation), depth=True)
    assert float(image.alpha[10, 15]) == pytest.approx(0.8, rel=1e-6)
    assert float(image.alpha[10, 16]) == pytest.approx(0.8 * math.exp(-1), rel=1e-6)
    assert float(image.alpha[11, 16]) == pytest.approx(0.8 * math.exp(-2), rel=1e-6)
    assert float(image.depth[11, 16]) == pytest.approx(4 * 0.8 * math.exp(-2), rel=1e-6)
    assert image.radii.tolist() == [math.ceil(math.sqrt(math.log(0.8 / ALPHA_MIN)))]


def test_a_disc_through_the_camera_is_seen_in_front_of_it_only():
    image = shown(disc(1.0, scale=3.0, rotation=(math.cos(0.75), 0, math.sin(0.75), 0)), depth=True)
    assert image.radii.tolist() == [16]  # unbounded: the whole image
    covered = image.alpha > 0
    assert bool(covered.any())
    assert float((image.depth / image.alpha)[covered].min()) > 0.01
    assert all(bool(getattr(image, name).isfinite().all()) for name in ("color", "depth", "normal", "distortion"))


def test_depth_distortion_is_the_weighted_square_of_all_distances():
    depths, opacities = (2.0, 3.0, 4.5), (0.3, 0.5, 0.7)
    image = shown(together(*[disc(z, o, 2.0) for z, o in zip(depths, opacities, strict=True)]), depth=True)
    weights = [0.3, 0.7 * 0.5, 0.7 * 0.5 * 0.7]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = sum(weights[i] * weights[j] * (depths[i] - depths[j]) ** 2 for i, j in pairs)
    assert float(image.distortion[10, 15]) == pytest.approx(expected, rel=1e-6)
    assert float(image.median_depth[10, 15]) == pytest.approx(3.0)


def test_a_picture_too_small_for_slopes_asks_nothing_of_normals():
    camera = look_at(np.array([0.0, 0, -4]), np.zeros(3), np.array([0.0, 1, 0]), 50.0, 40, 2)
    image = shown(disc(0.0), camera, depth=True)
    assert image.depth.shape == (2, 40) and float(normal_consistency(image, camera)) == 0
