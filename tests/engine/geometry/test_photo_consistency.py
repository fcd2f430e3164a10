"""A ball dug at its pole: filled again where photos show the plain ball, left where they show the pit."""

import numpy as np
import pytest
import torch

from engine.geometry.flexicubes import FlexiCubes
from engine.geometry.photo_consistency import color_variance, first_inside, hull_where_consistent
from engine.optimize.stages.view_pass import clip_positions
from engine.raster import rasterizer
from engine.scene import Mesh
from engine.scene.camera import look_at

BOX = np.array([[-1.0, -1, -1], [1, 1, 1]])
RESOLUTION = 40
LINE = np.linspace(-1, 1, RESOLUTION + 1)
X, Y, Z = np.meshgrid(LINE, LINE, LINE, indexing="ij")
BALL = (np.sqrt(X**2 + Y**2 + Z**2) - 0.6).astype(np.float32)
PIT = np.maximum(BALL, 0.35 - np.sqrt(X**2 + Y**2 + (Z - 0.6) ** 2)).astype(np.float32)


def mesh_of(field):
    surface = FlexiCubes.from_field(field, BOX).extract("numba", split="two")
    return Mesh(surface.vertices.detach().numpy(), surface.triangles.numpy())


def cameras():
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    places = [(2 * np.cos(a), 2 * np.sin(a), height) for a in angles for height in (1.0, 2.5)]
    return [look_at(np.array(p), np.zeros(3), np.array([0.0, 0, 1]), 90.0, 72, 72) for p in places]


def drawn(mesh, camera, color):
    """(photo [H,W,3], depth [H,W]) of a mesh whose points have `color`(points [P,3])."""
    raster = rasterizer("numba")
    clip = clip_positions(torch.from_numpy(mesh.vertices), camera, mesh.box.astype(float))
    triangles = torch.from_numpy(mesh.triangles)
    buffer = raster.visibility(clip, triangles, camera.size)
    points = raster.interpolate(torch.from_numpy(mesh.vertices), triangles, buffer).numpy()
    photo, depth = np.ones((*camera.size, 3), np.float32), np.full(camera.size, np.inf, np.float32)
    photo.reshape(-1, 3)[buffer.pixel.numpy()] = color(points)
    depth.reshape(-1)[buffer.pixel.numpy()] = buffer.depth.numpy()
    return photo, depth


def painted(points):
    return (0.5 + 0.4 * np.sin(9 * points + np.array([0.0, 1, 2]))).astype(np.float32)


def plain(points):
    return np.full((len(points), 3), 0.5, np.float32)


def restored(true_field, color):
    views, hull, carved = cameras(), mesh_of(BALL), mesh_of(PIT)
    photos = [drawn(mesh_of(true_field), camera, color)[0] for camera in views]
    depths = [[drawn(mesh, camera, color)[1] for camera in views] for mesh in (hull, carved)]
    return hull_where_consistent(BALL, PIT, BOX, hull, depths[1], depths[0], views, photos)


@pytest.mark.parametrize("color", [plain, painted])
def test_a_ball_dug_for_nothing_is_filled_again(color):
    dug = (PIT >= 0) & (BALL < 0)
    assert ((restored(BALL, color) < 0) & dug).sum() > 0.8 * dug.sum()


def test_a_pit_that_the_photos_show_stays():
    dug = (PIT >= 0) & (BALL < 0)
    assert ((restored(PIT, painted) < 0) & dug).sum() < 0.1 * dug.sum()


def test_nothing_outside_the_dug_space_changes():
    field = restored(BALL, plain)
    same = ~((PIT >= 0) & (BALL < 0))
    np.testing.assert_array_equal(field[same], PIT[same])


def test_variance_is_zero_on_the_surface_and_infinite_where_nobody_looks():
    views, ball = cameras(), mesh_of(BALL)
    photos, depths = zip(*(drawn(ball, camera, painted) for camera in views), strict=True)
    points, normals = ball.vertices.astype(float), ball.vertex_normals().astype(float)
    variance = color_variance(points, normals, views, photos, depths, slack=0.1)
    assert np.isinf(variance[points[:, 2] < -0.58]).all()
    assert np.median(variance[points[:, 2] > 0.2]) < 0.005


def test_first_inside_counts_cells_to_the_surface():
    origins = np.array([[20.0, 20.0, 40.0], [20.0, 20.0, 40.0]])
    directions = np.array([[0.0, 0, -1], [0.0, 0, 1]])
    depth = first_inside(BALL, origins, directions, 30)
    assert depth[0] == pytest.approx(8, abs=1) and depth[1] == 30
