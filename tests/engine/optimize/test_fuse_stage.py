"""Discs that lie on a ball fuse into the ball, with masks and without; the recipes that end with a surface."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh

from engine.device import Device
from engine.errors import CaptureError, GeometryError
from engine.optimize.grids import surface_of
from engine.optimize.recipe import load_recipe
from engine.optimize.scene_state import SceneState
from engine.optimize.stage import STAGES, StageContext
from engine.optimize.stages.fuse import FuseStage, splat_box
from engine.raster import rasterizer
from engine.scene import Frame, Gaussians
from engine.scene.camera import look_at
from tests.engine.optimize.small_run import SmallPixels

SIZE = 64


class Ball:
    """Twelve views of a ball of radius one, from all sides."""

    train, test = list(range(12)), []
    up = np.array([0.0, 0.0, 1.0])

    def __init__(self, masks: bool) -> None:
        self.has_masks, self.frames, self._pixels = masks, [], []
        for i, eye in enumerate(directions(12) * 4):
            camera = look_at(eye, np.zeros(3), np.array([0.1, 0.2, 1.0]), 1.4 * SIZE, SIZE, SIZE)
            origin, rays = camera.rays()
            hit = origin @ origin - (rays @ origin) ** 2 < 1
            self.frames.append(Frame(f"view{i}", camera, "train", None))
            color = np.where(hit[..., None], np.float32([0.8, 0.4, 0.2]), 0).astype(np.float32)
            self._pixels.append(SmallPixels(color, hit.astype(np.float32) if masks else None))

    def pixels(self, index: int) -> SmallPixels:
        return self._pixels[index]

    def require_masks(self) -> None:
        if not self.has_masks:
            raise CaptureError("no masks")


def directions(count: int) -> np.ndarray:
    """[N,3] unit vectors, evenly spread (Fibonacci's spiral)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)


def ball_of_discs(count: int = 600) -> Gaussians:
    normal = directions(count)
    half = normal + [0, 0, 1]  # between the disc's normal and the z axis, which its rotation takes there
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    rotations = np.stack([half[:, 2], -half[:, 1], half[:, 0], np.zeros(count)], 1)  # half a turn less: z to normal
    scales = np.log(np.full((count, 3), 1.2 * np.sqrt(4 * np.pi / count) / 2))
    harmonics = np.zeros((count, 1, 3))
    logits = np.full(count, 3.0)
    parts = (normal, rotations, scales, logits, harmonics)
    return Gaussians(*(part.astype(np.float32) for part in parts), kind="surface")


def fused(masks: bool, tmp_path, splats: Gaussians | None = None, tensors: dict | None = None, **options) -> SceneState:
    given = {"fuse.resolution": 32, "hull.resolution": 24, "splats.kind": "surface", **options}
    recipe = load_recipe("object-from-splats", [f"{key}={value}" for key, value in given.items()])
    scene = SceneState(gaussians=ball_of_discs() if splats is None else splats, tensors=tensors or {})
    context = StageContext(
        recipe, Ball(masks), None, scene, rasterizer("numba"), Device("cpu", "numba"), exports=tmp_path / "exports"
    )
    stage = FuseStage()
    stage.begin(context)
    stage.finish()
    return scene


@pytest.mark.parametrize("depth", ["median", "expected"])
def test_discs_on_a_ball_fuse_into_the_ball(depth, tmp_path):
    scene = fused(True, tmp_path, **{"fuse.depth": depth})
    mesh, cell = surface_of(scene.field, scene.box), float((scene.box[1] - scene.box[0]).max()) / 32
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert scene.field.shape == (33, 33, 33) and scene.field[16, 16, 16] < 0
    assert np.abs(radius - 1).mean() < 0.3 * cell and np.abs(radius - 1).max() < 1.5 * cell
    assert trimesh.Trimesh(mesh.vertices, mesh.triangles).is_watertight


def test_refined_cameras_are_those_that_see_the_splats(tmp_path):
    splats, way = ball_of_discs(), np.array([0.5, 0.0, 0.0])
    splats.means[:] += way.astype(np.float32)
    tensors = {
        "cameras.rotations": torch.eye(3, dtype=torch.float64).repeat(12, 1, 1),
        "cameras.offsets": torch.from_numpy(way).repeat(12, 1),
        "cameras.lens": torch.zeros(4, dtype=torch.float64),
        "cameras.steps": torch.ones(13, dtype=torch.int64),
    }
    scene = fused(True, tmp_path, splats, tensors)
    radius = np.linalg.norm(surface_of(scene.field, scene.box).vertices - way, axis=1)
    assert np.abs(radius - 1).max() < 0.15


def test_without_masks_only_what_was_seen_is_written(tmp_path):
    scene = fused(False, tmp_path, **{"fuse.mesh": "true", "fuse.truncation": 3, "export.name": "thing"})
    written = trimesh.load(tmp_path / "exports" / "thing-surface.ply", process=False)
    radius = np.linalg.norm(written.vertices, axis=1)
    assert len(written.faces) > 500 and np.abs(radius - 1).max() < 0.15  # nothing of the box's faces
    color = np.median(written.visual.vertex_colors[:, :3], axis=0)
    np.testing.assert_allclose(color, [231, 170, 124], atol=30)  # 0.8, 0.4, 0.2 encoded; black seeps in at the rims
    assert (scene.box[0] < -0.95).all() and (scene.box[1] > 0.95).all() and np.abs(scene.box).max() < 1.3


def test_what_lies_far_off_and_what_is_faint_does_not_widen_the_box():
    splats = ball_of_discs()
    splats.means[::100] *= 100
    splats.means[1::3], splats.logits[1::3] = 50, -3
    assert np.abs(splat_box(splats)).max() < 1.3
    np.testing.assert_allclose(splat_box(splats, (0, 0, 0, 2, 1, 1)), [[0, -0.5, -0.5], [2, 1.5, 1.5]])


def test_bad_input_is_said(tmp_path):
    faint = ball_of_discs()
    faint.logits[:] = -7
    with pytest.raises(GeometryError, match="shows no surface"):
        fused(False, tmp_path, faint)
    with pytest.raises(GeometryError, match="needs splats"):
        recipe = load_recipe("object-from-splats")
        FuseStage().begin(SimpleNamespace(recipe=recipe, scene=SceneState()))


def test_the_recipes_know_their_stages():
    recipe = load_recipe("object-from-splats")
    assert recipe.splats.kind == "surface" and set(recipe.stages) <= set(STAGES)
    assert FuseStage.needs_masks(recipe)
    assert not FuseStage.needs_masks(load_recipe("scene", ["fuse.resolution=64"]))
    assert load_recipe("scene").fuse.resolution == 0
