"""The free camera: every move does what its name says, in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from app.window.viewport.camera_control import AXIS_VIEWS, CameraControl, PhotoWindow, fitted
from engine.scene.camera import look_at

BOX = np.array([[-1.0, -2, 0], [1, 1, 3]])
UPS = [(0, 0, 1), (0, 1, 0), (0, -1, 0), (0.6, 0, 0.8)]


@pytest.fixture(params=UPS, ids=str)
def control(request) -> CameraControl:
    control = CameraControl(request.param)
    control.frame(BOX)
    return control


def corners(box: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(*box.T, indexing="ij"), -1).reshape(-1, 3)


def is_rotation(matrix: np.ndarray) -> bool:
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9) and np.linalg.det(matrix) > 0


def test_framing_shows_the_whole_box(control):
    for size in ((640, 480), (480, 640), (900, 200)):
        pixels, depth = control.camera(*size).project(corners(BOX))
        assert (depth > 0).all()
        assert (pixels >= 0).all() and (pixels <= size).all()


def test_orbit_keeps_the_distance_and_the_horizon(control):
    pivot, distance = control.pivot.copy(), control.distance
    random = np.random.default_rng(0)
    for right, down in random.uniform(-60, 60, (200, 2)):
        control.orbit(right, down)
    assert np.allclose(control.pivot, pivot)
    assert np.isclose(np.linalg.norm(control.position - pivot), distance)
    assert is_rotation(control.rotation)
    assert abs(control.rotation[:, 0] @ control.up) < 1e-6  # no roll
    assert control.rotation[:, 1] @ control.up < 0  # up is up


def test_orbit_stops_before_the_poles(control):
    for _ in range(50):
        control.orbit(0, 100)
    assert 0.5 < np.degrees(np.arccos(-control.rotation[:, 2] @ control.up)) < 5
    for _ in range(50):
        control.orbit(0, -100)
    assert 175 < np.degrees(np.arccos(-control.rotation[:, 2] @ control.up)) < 179.5


def test_dragging_down_shows_more_of_the_top(control):
    before = control.position @ control.up
    control.orbit(0, 20)
    assert control.position @ control.up > before


def test_pan_moves_the_pivot_with_the_cursor(control):
    point = control.pivot.copy()
    control.pan(30, -12, 640, 480)
    pixel, _ = control.camera(640, 480).project(point[None])
    assert np.allclose(pixel[0], (320 + 30, 240 - 12))


def test_zoom_keeps_what_is_under_the_cursor(control):
    camera = control.camera(640, 480)
    scale = control.distance / camera.focal[0]
    point = control.pivot + scale * (100 * control.rotation[:, 0] - 50 * control.rotation[:, 1])
    distance = control.distance
    control.zoom(3, 420, 190, 640, 480)
    pixel, _ = control.camera(640, 480).project(point[None])
    assert np.allclose(pixel[0], (420, 190))
    assert control.distance < distance
    for _ in range(200):
        control.zoom(5, 320, 240, 640, 480)
    assert control.distance > 0


def test_fly_moves_along_the_view(control):
    before = control.position
    control.fly(0, 0, 1, 0.5)
    moved = control.position - before
    assert np.allclose(moved / np.linalg.norm(moved), control.rotation[:, 2])


@pytest.mark.parametrize("view", AXIS_VIEWS)
def test_axis_views_look_at_the_pivot_and_differ(control, view):
    control.axis_view(view)
    assert is_rotation(control.rotation)
    pixels, _ = control.camera(640, 480).project(control.pivot[None])
    assert np.allclose(pixels[0], (320, 240))
    if view == "top":
        assert np.allclose(-control.rotation[:, 2], control.up)


def test_turntable_comes_round(control):
    before = control.rotation.copy()
    for _ in range(120):
        control.turn(0.1)
    assert np.allclose(control.rotation, before, atol=1e-6)


def test_taking_a_camera_and_giving_it_back(control):
    camera = look_at(np.array([5.0, 1, 2]), np.array([0.0, -0.5, 1.5]), control.up, 500, 400, 300)
    control.take(camera)
    again = control.camera(400, 300)
    assert np.allclose(again.world_from_camera, camera.world_from_camera)
    assert np.allclose(again.focal, camera.focal)


def test_photo_window_keeps_the_point_under_the_cursor_and_stays_inside():
    camera = look_at(np.array([5.0, 1, 2]), np.zeros(3), np.array([0.0, 0, 1]), 500, 400, 300)
    window = PhotoWindow()
    whole = window.camera(camera, 200, 150)
    assert np.allclose(whole.focal, 250)
    window.zoom(4, 0.25, 0.75)
    part = window.camera(camera, 200, 150)
    x, y, width, height = window.rectangle(camera)
    assert np.isclose(x + 0.25 * width, 100) and np.isclose(y + 0.75 * height, 225)
    point = np.array([[0.3, 0.2, -0.1]])
    full = camera.project(point)[0][0]
    assert np.allclose(part.project(point)[0][0], ((full - (x, y)) * 200 / width))
    window.pan(5, 5)
    x, y, width, height = window.rectangle(camera)
    assert x >= 0 and y >= 0
    window.zoom(-50, 0.5, 0.5)
    assert window.magnification == 1 and np.allclose(window.middle, 0.5)


def test_fitted_keeps_the_shape():
    camera = look_at(np.array([5.0, 1, 2]), np.zeros(3), np.array([0.0, 0, 1]), 500, 400, 300)
    assert fitted(camera, 800, 800) == (800, 600)
    assert fitted(camera, 100, 800) == (100, 75)
