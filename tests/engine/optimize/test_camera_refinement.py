"""Cameras that were displaced find their way back, for a mesh and for splats; and stay where they are when locked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from engine.optimize.camera_refinement import CameraRefinement
from engine.optimize.photo_loss import PhotoWeights
from engine.optimize.recipe import load_recipe
from engine.optimize.stages.view_pass import compared, see
from engine.optimize.views import View
from engine.raster import rasterizer
from engine.raster.contract import EdgeTable
from engine.scene import Camera
from engine.scene.camera import look_at
from engine.shading.environment import EnvironmentLight
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors

UP = np.array([0.0, 0.0, 1.0])
EYES = [np.array([3.0, 0.0, 0.5]), np.array([0.5, 3.0, -0.4]), np.array([-2.0, 2.0, 1.5])]
CAMERAS = [look_at(eye, np.zeros(3), UP, 80.0, 64, 56) for eye in EYES]


@dataclass
class Context:
    """As much of a stage's context as cameras need."""

    recipe: object
    capture: object
    scene: object


def context(**options) -> Context:
    recipe = load_recipe("scene", [f"optimize.{key}={value}" for key, value in options.items()])
    capture = SimpleNamespace(frames=[SimpleNamespace(camera=camera) for camera in CAMERAS], train=[0, 1, 2])
    return Context(recipe, capture, SimpleNamespace(tensors={}))


def displaced(camera: Camera) -> Camera:
    pose = camera.world_from_camera.copy()
    pose[:3, :3] = Rotation.from_rotvec([0.012, -0.016, 0.02]).as_matrix() @ pose[:3, :3]
    pose[:3, 3] += [0.03, -0.04, 0.02]
    return replace(camera, world_from_camera=pose)


def reprojection(camera: Camera, true: Camera) -> float:
    """Mean distance in pixels of where two cameras see points around the origin."""
    points = np.random.default_rng(0).normal(size=(50, 3)) * 0.4
    return float(np.linalg.norm(camera.project(points)[0] - true.project(points)[0], axis=1).mean())


def splats() -> SplatTensors:
    draw = torch.Generator().manual_seed(2)
    count = 60
    return SplatTensors(
        means=0.45 * torch.randn(count, 3, generator=draw),
        rotations=torch.randn(count, 4, generator=draw),
        log_scales=-1.9 + 0.3 * torch.randn(count, 3, generator=draw),
        logits=torch.randn(count, generator=draw),
        harmonics=torch.randn(count, 1, 3, generator=draw),
    )


def refined_by_splats(given: Context, steps: int) -> tuple[CameraRefinement, float]:
    scene, draw = splats(), splatter("numba").render
    with torch.no_grad():
        targets = [draw(scene, camera).color for camera in CAMERAS]
    refinement, start = CameraRefinement(given), [displaced(camera) for camera in CAMERAS]
    for step in range(steps):
        for frame, camera in enumerate(start):
            motion = refinement.motion()
            image = draw(scene, refinement.camera(frame, camera), SplatOptions(motion=motion))
            if motion is not None:
                ((image.color - targets[frame]) ** 2).mean().backward()
            refinement.take(View(frame, camera, None, None), motion, step / steps, 1.0)
    now = [reprojection(refinement.camera(k, start[k]), CAMERAS[k]) for k in range(3)]
    return refinement, float(np.mean(now))


@pytest.mark.slow
def test_displaced_cameras_find_back_to_splats():
    before = np.mean([reprojection(displaced(camera), camera) for camera in CAMERAS])
    given = context(cameras="true", learning_rate_cameras=0.002)
    refinement, after = refined_by_splats(given, 80)
    assert before > 1.0 and after < 0.1 * before
    refinement.finish()
    again = CameraRefinement(given)
    assert (again.camera(1, CAMERAS[1]).world_from_camera == refinement.camera(1, CAMERAS[1]).world_from_camera).all()


def test_locked_cameras_stay():
    given = context()
    refinement, _ = refined_by_splats(given, 1)
    assert (refinement.camera(0, CAMERAS[0]).world_from_camera == CAMERAS[0].world_from_camera).all()
    refinement.finish()
    assert not given.scene.tensors


def test_a_mesh_gives_the_camera_its_gradient():
    """Against central differences of the mask loss of an egg before a soft mask, in which no pixel is at a kink."""
    import trimesh

    mesh = trimesh.creation.icosphere(3)
    vertices = torch.tensor(mesh.vertices * [0.7, 0.5, 0.6], dtype=torch.float32)
    triangles = torch.tensor(mesh.faces, dtype=torch.int32)
    edges, raster, light = EdgeTable.from_triangles(triangles, len(vertices)), rasterizer("numba"), EnvironmentLight(8)
    y, x = torch.meshgrid(torch.arange(56.0), torch.arange(64.0), indexing="ij")
    alpha = torch.exp(-((x - 36) ** 2 + (y - 24) ** 2) / 500)
    target = View(0, CAMERAS[0], alpha[..., None].repeat(1, 1, 3) * 0.4, alpha)

    def loss(camera: Camera, motion: torch.Tensor | None = None) -> torch.Tensor:
        view = replace(target, camera=camera)
        (seen,) = see(raster, [view], vertices, triangles, light, [motion])
        color = (2 * seen.position).sin() * 0.3 + 0.5
        return compared(raster, [seen], triangles, edges, [color], PhotoWeights(0.0, 1.0))[1]

    motion = torch.zeros(10, requires_grad=True)
    loss(CAMERAS[0], motion).backward()
    expected, steps = np.zeros(10), [0.01] * 3 + [0.03] * 3 + [2.0] * 2 + [0.7] * 2
    for index, step in enumerate(steps):
        values = []
        for sign in (1, -1):
            pose, by = CAMERAS[0].world_from_camera.copy(), np.zeros(10)
            by[index] = sign * step
            pose[:3, :3] = Rotation.from_rotvec(by[:3]).as_matrix() @ pose[:3, :3]
            pose[:3, 3] += by[3:6]
            focal, centre = CAMERAS[0].focal + by[6:8], CAMERAS[0].centre + by[8:]
            moved = replace(CAMERAS[0], world_from_camera=pose, focal=tuple(focal), centre=tuple(centre))
            values.append(float(loss(moved).detach()))
        expected[index] = (values[0] - values[1]) / (2 * step)
    got = motion.grad.numpy().astype(float)
    for part in (slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 10)):
        cosine = got[part] @ expected[part] / np.linalg.norm(got[part]) / np.linalg.norm(expected[part])
        assert cosine > 0.98, (got, expected)
        assert np.linalg.norm(got[part]) == pytest.approx(np.linalg.norm(expected[part]), rel=0.15)
