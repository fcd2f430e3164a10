"""Where splats start: from points, from a hull, from chance; and never over the budget."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from engine.device import Device
from engine.errors import RecipeError
from engine.exchange.splats import write_splats
from engine.optimize.recipe import SplatsSection, load_recipe
from engine.optimize.scene_state import SceneState
from engine.optimize.splat_start import (
    budget_of,
    found_points,
    on_surface,
    scene_radius,
    seen_points,
    seen_share,
    starting_splats,
    within_budget,
)
from engine.optimize.stage import StageContext
from engine.optimize.stages.splats import SplatsStage
from engine.optimize.views import ViewSet
from engine.scene import Mesh
from engine.scene.camera import look_at
from tests.engine.optimize.test_stages import BallCapture

UP = np.array([0.0, 0.0, 1.0])


def ring(count: int = 6, radius: float = 3.0):
    angles = 2 * np.pi * np.arange(count) / count
    positions = radius * np.stack([np.cos(angles), np.sin(angles), 0.3 + 0 * angles], 1)
    return [look_at(position, np.zeros(3), UP, 60.0, 64, 48) for position in positions]


class Bare:
    """A capture that carries what it is given."""

    def __init__(self, points=None):
        self._points = points

    def points(self):
        return self._points


def ball() -> Mesh:
    mesh = trimesh.creation.icosphere(2, 0.5)
    return Mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))


def test_the_captures_points_come_first_without_those_that_are_not_finite():
    points = np.array([[0, 0, 0], [np.nan, 0, 0], [1, 2, 3.0]])
    colors = np.array([[255, 0, 0], [0, 0, 0], [0, 51, 0]], np.uint8)
    found, encoded, text = found_points(Bare((points, colors)), ring(), ball(), "a ball", 50, np.random.default_rng(0))
    assert found.tolist() == [[0, 0, 0], [1, 2, 3]] and encoded[1].tolist() == pytest.approx([0, 0.2, 0])
    assert "2 points of the capture" in text


def test_a_surface_comes_next_and_is_covered_evenly():
    points, _, text = found_points(Bare(), ring(), ball(), "a ball", 4000, np.random.default_rng(0))
    assert len(points) == 4000 and "4,000 points on a ball" in text
    assert np.linalg.norm(points, axis=1) == pytest.approx(0.5, abs=0.02)
    assert np.abs(points.mean(0)).max() < 0.03


def inside(camera, points) -> np.ndarray:
    """[N] 1 where a point lies in the camera's picture, or on its border."""
    pixels, depth = camera.project(points)
    return ((depth >= 0) & (pixels > -1e-6).all(1) & (pixels < (64 + 1e-6, 48 + 1e-6)).all(1)).astype(int)


def test_chance_stays_where_two_cameras_see():
    cameras = ring()
    points = seen_points(cameras, 500, np.random.default_rng(0))
    assert len(points) == 500 and sum(inside(camera, points) for camera in cameras).min() >= 2


def test_one_photo_and_cameras_that_share_nothing_still_start():
    away = [look_at(np.array([x, 0, 0]), np.array([2 * x, 0, 0]), UP, 60.0, 64, 48) for x in (-5.0, 5.0)]
    for cameras in (ring(1), away):
        points = seen_points(cameras, 40, np.random.default_rng(0))
        assert len(points) == 40 and np.isfinite(points).all()
        assert sum(inside(camera, points) for camera in cameras).min() >= 1
    assert scene_radius(ring(1)) == 1.0


@pytest.mark.parametrize("kind", ["gaussian", "exponential", "surface"])
def test_a_splat_is_as_wide_as_its_neighbours_are_far(kind):
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    splats = starting_splats(grid, np.full((64, 3), 0.25), kind, 2, np.random.default_rng(0))
    assert splats.kind == kind and splats.degree == 2 and np.exp(splats.log_scales) == pytest.approx(1.0)
    assert splats.opacities == pytest.approx(0.1) and 0.5 + 0.28209479 * splats.harmonics[:, 0] == pytest.approx(0.25)


def test_points_that_coincide_have_a_size():
    splats = starting_splats(np.zeros((5, 3)), np.zeros((5, 3)), "gaussian", 0, np.random.default_rng(0))
    assert np.isfinite(splats.log_scales).all()


def test_a_budget_below_the_start_is_kept_and_said():
    said = []
    points = on_surface(ball(), 300, np.random.default_rng(0))
    splats = starting_splats(points, np.zeros((300, 3)), "gaussian", 0, np.random.default_rng(0))
    kept = within_budget(splats, 120, np.random.default_rng(0), said.append)
    assert len(kept) == 120 and "300" in said[0] and "splats.budget" in said[0]
    assert within_budget(splats, 300, np.random.default_rng(0), said.append) is splats and len(said) == 1


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_a_budget_in_megabytes_holds_as_many_splats_as_fit(kind):
    options = SplatsSection(kind=kind, degree=2, budget=1000, budget_megabytes=0.02)
    count = budget_of(options)
    splats = starting_splats(np.eye(3).repeat(100, 0), np.zeros((300, 3)), kind, 2, np.random.default_rng(0))
    assert count * splats.megabytes / 300 <= 0.02 < (count + 1) * splats.megabytes / 300
    assert budget_of(SplatsSection(budget=1000, budget_megabytes=50)) == 1000


def test_megabytes_that_hold_no_splat_are_refused():
    assert budget_of(SplatsSection(degree=3, budget_megabytes=0.00024)) == 1
    with pytest.raises(RecipeError, match=r"splats.budget_megabytes=0.0002 holds not one splat of degree 3; give more"):
        budget_of(SplatsSection(degree=3, budget_megabytes=0.0002))


def test_what_the_volume_dug_is_where_splats_start():
    capture, told, line = BallCapture(), [], np.linspace(-1.2, 1.2, 25)
    capture.points = lambda: None
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    dug = (np.sqrt(x * x + y * y + z * z) - 0.5).astype(np.float32)
    scene = SceneState(box=np.array([[-1.2] * 3, [1.2] * 3]), field=dug)
    options = {"stages": "hull,volume,splats", "splats.kind": "surface", "splats.start": 300}
    recipe = load_recipe("object-from-splats", [f"{key}={value}" for key, value in options.items()])
    stage, views = SplatsStage(), ViewSet(capture)
    stage.begin(StageContext(recipe, capture, views, scene, None, Device("cpu", "numba"), notify=told.append))
    assert np.linalg.norm(stage.splats.gaussians().means, axis=1) == pytest.approx(0.5, abs=0.05)
    assert [message.text for message in told] == ["splats start from 300 points on the surface from volume"]


def near_and_far(near: int, far: int):
    """Splats before the cameras of a ring, and such in another world."""
    points = np.concatenate([np.random.default_rng(0).uniform(-0.3, 0.3, (near, 3)), np.full((far, 3), 1e6)])
    return starting_splats(points, np.full((near + far, 3), 0.5), "gaussian", 0, np.random.default_rng(0))


def test_what_cameras_see_of_splats_is_counted():
    assert seen_share(near_and_far(30, 0), ring()) == 1 and seen_share(near_and_far(0, 7), ring()) == 0
    assert seen_share(near_and_far(30, 10), ring()) == pytest.approx(0.75)


@pytest.mark.parametrize(("near", "said"), [(0, "none of its splats"), (1, "less than 1% of its splats"), (20, "")])
def test_a_start_file_that_photos_do_not_show_is_said(tmp_path, near, said):
    told, capture = [], BallCapture()
    write_splats(tmp_path / "start.ply", near_and_far(near, 200), up=UP)
    recipe = load_recipe("scene", [f"splats.start_file={tmp_path / 'start.ply'}", "splats.degree=0"])
    context = StageContext(
        recipe, capture, ViewSet(capture), SceneState(), None, Device("cpu", "numba"), notify=told.append
    )
    SplatsStage().begin(context)
    warnings = [message.text for message in told if message.level == "warning"]
    assert len(warnings) == bool(said) and all(f"start.ply: {said} lies in view" in text for text in warnings)
