"""The hull's field is a distance, its zero surface lies where the masks put it, and cut views do not carve too much."""

import numba
import numpy as np
import pytest

from engine.capture.hull import carve, object_box, silhouette_distance, touches_border
from engine.errors import CaptureError


def grid(box, resolution):
    axes = [np.linspace(box[0][i], box[1][i], resolution + 1) for i in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def crossings(field, box):
    """Points where the field changes sign along grid edges, linearly interpolated."""
    points = grid(box, field.shape[0] - 1)
    found = []
    for axis in range(3):
        a, b = np.moveaxis(field, axis, 0)[:-1], np.moveaxis(field, axis, 0)[1:]
        p, q = np.moveaxis(points, axis, 0)[:-1], np.moveaxis(points, axis, 0)[1:]
        change = (a < 0) != (b < 0)
        t = a[change] / (a[change] - b[change])
        found.append(p[change] + t[:, None] * (q[change] - p[change]))
    return np.concatenate(found)


def test_silhouette_distance_places_a_disc_to_a_tenth_of_a_pixel():
    y, x = np.mgrid[:64, :80] + 0.5
    exact = np.hypot(x - 41.3, y - 30.8) - 17.4
    fine = np.mgrid[: 64 * 8, : 80 * 8] / 8 + 1 / 16
    soft = (np.hypot(fine[1] - 41.3, fine[0] - 30.8) < 17.4).reshape(64, 8, 80, 8).mean((1, 3)).astype(np.float32)
    near = np.abs(exact) < 0.5
    assert np.abs(silhouette_distance(soft) - exact)[near].max() < 0.2
    assert np.abs(silhouette_distance(soft) - exact).max() < 1.0
    hard = (exact < 0).astype(np.float32)
    assert np.abs(silhouette_distance(hard) - exact)[near].mean() < 0.2


def test_the_border_of_the_image_is_no_contour():
    mask = np.zeros((40, 40), np.float32)
    mask[10:30, 20:] = 1
    distance = silhouette_distance(mask)
    assert distance[20, 39] < -9  # ten rows to the contour, none to the image's edge
    assert touches_border(mask) and not touches_border(np.pad(mask, 1))


def test_the_hull_of_a_ball_is_its_distance_field(ball_views):
    cameras, masks = ball_views(60, centre=(0.1, -0.05, 0.0), radius=1.0)
    box = object_box(cameras, masks)
    side = box[1] - box[0]
    np.testing.assert_allclose(side, side[0])
    assert (box[0] < [-0.9, -1.05, -1]).all() and (box[1] > [1.1, 0.95, 1]).all()
    assert side[0] < 2.9
    field = carve(cameras, masks, box, 40)
    exact = np.linalg.norm(grid(box, 40) - [0.1, -0.05, 0.0], axis=-1) - 1.0
    surface = np.linalg.norm(crossings(field, box) - [0.1, -0.05, 0.0], axis=1) - 1.0
    pixel = 4 / 80
    assert abs(surface.mean()) < 0.25 * pixel  # the hull of 60 views lies a little outside the ball
    assert np.abs(surface).max() < 1.0 * pixel
    near = np.abs(exact) < 0.4
    assert np.abs(field - exact)[near].mean() < 0.05
    slope = np.linalg.norm(np.stack(np.gradient(field, side[0] / 40), -1), axis=-1)[near]
    assert 0.85 < np.median(slope) < 1.1


def test_views_that_cut_the_object_do_not_carve_it(ball_views):
    """Half of the cameras look past the ball, so that it is cut; the hull must still hold all of it."""
    whole, masks = ball_views(16)
    cut, cut_masks = ball_views(16, distance=3.5, target=(0.9, 0.0, 0.6))
    assert sum(map(touches_border, cut_masks)) > 8
    cameras, images = whole + cut, masks + cut_masks
    field = carve(cameras, images, np.array([[-1.3] * 3, [1.3] * 3]), 40)
    inside = np.linalg.norm(grid([[-1.3] * 3, [1.3] * 3], 40), axis=-1) < 0.95
    assert (field[inside] < 0).all()
    box = object_box(cameras, images)
    assert (box[0] < -1).all() and (box[1] > 1).all()


def test_an_object_cut_in_every_view_is_kept_and_bounded(ball_views):
    cameras, masks = ball_views(40, distance=2.5, size=64, focal=80.0)
    assert all(map(touches_border, masks))
    box = object_box(cameras, masks)
    assert (box[0] < -0.9).all() and (box[1] > 0.9).all()
    assert (box[1] - box[0]).max() < 5
    field = carve(cameras, masks, box, 32)
    assert (field[np.linalg.norm(grid(box, 32), axis=-1) < 0.7] < 0).all()


def test_cameras_on_one_side_find_the_object(ball_views):
    cameras, _ = ball_views(60)
    front = [index for index, camera in enumerate(cameras) if camera.position[0] > 2]
    cameras, masks = ball_views(60)
    cameras, masks = [cameras[i] for i in front], [masks[i] for i in front]
    box = object_box(cameras, masks)
    assert (box[0] < -0.99).all() and (box[1] > 0.99).all()
    assert (box[1] - box[0]).max() < 5


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_the_box_needs_no_prior_scale_or_place(ball_views, scale, shift):
    cameras, masks = ball_views(
        24, distance=4 * scale, centre=(shift * scale,) * 3, radius=0.4 * scale, target=(shift * scale,) * 3
    )
    box = (object_box(cameras, masks) - shift * scale) / scale
    assert (box[0] < -0.39).all() and (box[1] > 0.39).all()
    assert (box[1] - box[0]).max() < 1.4


def test_masks_that_exclude_each_other_are_an_empty_hull(ball_views):
    cameras, masks = ball_views(12, radius=0.2)
    masks[3] = np.roll(masks[3], 25, 1)
    with pytest.raises(CaptureError, match="visual hull is empty"):
        carve(cameras, masks, object_box(cameras, masks), 24)
    with pytest.raises(CaptureError, match="all masks are empty"):
        object_box(cameras, [np.zeros_like(mask) for mask in masks])


def test_carving_gives_the_same_bits_for_any_number_of_threads(ball_views):
    cameras, masks = ball_views(12)
    box = np.array([[-1.2] * 3, [1.2] * 3])
    many = carve(cameras, masks, box, 24)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(carve(cameras, masks, box, 24), many)
    finally:
        numba.set_num_threads(before)


def test_the_faces_of_the_box_are_outside(ball_views):
    cameras, masks = ball_views(12)
    field = carve(cameras, masks, np.array([[-0.5] * 3, [0.5] * 3]), 16)
    for axis in range(3):
        assert (np.take(field, [0, -1], axis) > 0).all()
    assert field[8, 8, 8] < 0
