"""Metrics give the values of their definitions, of scikit-image, and of brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.errors import GeometryError
from engine.optimize import metrics
from engine.optimize.metrics_shape import shape_metrics, surface_samples
from engine.optimize.nearest_surface import NearestSurface
from engine.optimize.views import ViewSet
from engine.scene import Mesh
from tests.engine.optimize.small_run import SmallCapture


def pattern() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:37, :53]
    a = np.stack([0.5 + 0.5 * np.sin(0.3 * x + 0.1 * c * y) for c in range(3)], -1)
    return a, np.clip(a * 0.9 + 0.05 * np.cos(0.9 * y + 0.2 * x)[..., None], 0, 1)


def test_psnr():
    a = np.zeros((4, 5, 3))
    assert metrics.psnr(a, a + 0.1) == pytest.approx(20)
    assert metrics.psnr(a, a) == metrics.PSNR_LIMIT
    mask = np.zeros((4, 5), bool)
    mask[0, 0] = True
    b = a.copy()
    b[0, 0] = 0.01
    assert metrics.psnr(a, b, mask) == pytest.approx(40)
    assert math.isnan(metrics.psnr(a, b, mask & False))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_picture_that_is_none_has_no_psnr(value):
    a, b = pattern()
    b[3, 4, 1] = value
    assert math.isnan(metrics.psnr(b, a)) and math.isnan(metrics.psnr_of_error(value))


def test_ssim_equals_scikit_image():
    # structural_similarity(a, b, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5,
    #                       use_sample_covariance=False) of scikit-image 0.25
    assert metrics.ssim(*pattern()) == pytest.approx(0.9545717607431451, abs=1e-9)
    assert metrics.ssim(np.ones((6, 6, 3)), np.ones((6, 6, 3))) == pytest.approx(1)


def test_flip_through_its_package():
    a, b = pattern()
    assert metrics.flip(a, a) == 0
    assert 0.01 < metrics.flip(a, b) < metrics.flip(a, 1 - a) <= 1


def test_material_errors_forgive_one_scale_per_channel_and_nothing_else():
    truth = np.random.default_rng(0).random((6, 6, 3))
    mask = truth[..., 0] > 0.3
    wrong = np.where(mask[..., None], truth * [0.5, 2.0, 0.8], 9.0)
    assert metrics.base_color_psnr([wrong], [truth], [mask]) == metrics.PSNR_LIMIT
    assert metrics.base_color_psnr([wrong + 0.1], [truth], [mask]) < 30
    assert metrics.masked_rmse([wrong[..., 0] * 0 + 0.5], [np.full((6, 6), 0.2)], [mask]) == pytest.approx(0.3)


def test_training_psnr_is_that_of_the_composited_image():
    view = ViewSet(SmallCapture()).view(0)
    image = torch.cat([view.premultiplied, view.alpha[..., None]], -1)
    assert metrics.batch_psnr([image], [view]) == metrics.PSNR_LIMIT
    assert metrics.batch_psnr([image * 0], [view]) < 15


def nearest_by_brute_force(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distances by minimizing over each triangle's plane, edges and corners, written independently of the kernel."""
    best = np.full(len(points), np.inf)
    for a, b, c in corners:
        candidates = []
        for start, end in ((a, b), (b, c), (c, a)):
            edge = end - start
            t = np.clip((points - start) @ edge / max(edge @ edge, 1e-300), 0, 1)
            candidates.append(np.linalg.norm(points - start - t[:, None] * edge, axis=1))
        normal = np.cross(b - a, c - a)
        if normal @ normal > 0:
            height = (points - a) @ normal / np.sqrt(normal @ normal)
            foot = points - height[:, None] * normal / np.sqrt(normal @ normal)
            sides = [np.cross(end - start, foot - start) @ normal for start, end in ((a, b), (b, c), (c, a))]
            candidates.append(np.where(np.all(np.stack(sides) >= 0, 0), np.abs(height), np.inf))
        best = np.minimum(best, np.min(candidates, 0))
    return best


@pytest.mark.parametrize("count", [1, 2, 5, 150])
def test_nearest_surface_equals_brute_force_on_thin_large_and_empty_triangles(count):
    random = np.random.default_rng(count)
    vertices = random.random((40, 3)) * [1, 1, 0.02]
    vertices[0] = 50.0  # some triangles are huge and thin
    triangles = random.integers(0, 40, (count, 3))
    triangles[-1] = triangles[-1, 0]  # one is a point
    points = random.random((300, 3)) * 1.5 - 0.2
    distance, nearest = NearestSurface(vertices, triangles).nearest(points)
    np.testing.assert_allclose(distance, nearest_by_brute_force(points, vertices[triangles]), atol=1e-12)
    one_by_one = [nearest_by_brute_force(p[None], vertices[triangles[i : i + 1]]) for p, i in zip(points, nearest)]  # noqa: B905
    np.testing.assert_allclose(distance, np.concatenate(one_by_one), atol=1e-12)


def box(size: float) -> Mesh:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return Mesh(corners, np.array(triangles, np.int32))


def test_shape_metrics_of_known_shapes():
    same = shape_metrics(box(1), box(1), samples=5000)
    assert same["chamfer_percent"] < 1e-5 and same["fscore_1_percent"] == 1 and same["normal_consistency"] > 0.999
    reference = box(1)
    moved = Mesh(reference.vertices + np.float32([0, 0, 0.1]), reference.triangles)
    result = shape_metrics(moved, reference, samples=40000)
    # per direction: one face lies 0.1 outside; its opposite 0.1 inside, but nearer the sides along its border; a tenth
    # of each of the four other faces sticks out, by 0.05 on average
    inside = (1 - 0.8**3) / 6
    expected = (0.1 + inside + 4 * 0.1 * 0.05) / 6 / np.sqrt(3) * 100
    assert result["chamfer_percent"] == pytest.approx(expected, rel=0.01)
    assert 0.5 < result["fscore_1_percent"] < 0.7
    with pytest.raises(GeometryError, match="without area"):
        shape_metrics(Mesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32)), reference)


def test_samples_follow_area():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 3, 4], [0, 0, 0]], np.int32))
    points, triangle = surface_samples(mesh, 20000)
    assert np.bincount(triangle, minlength=3)[0] / 20000 == pytest.approx(0.75, abs=0.02)
    assert not (triangle == 2).any() and points.shape == (20000, 3)
    np.testing.assert_allclose(points[triangle == 0].mean(0), [1, 1 / 3, 0], atol=0.03)
