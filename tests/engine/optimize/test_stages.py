"""The stages on a small capture: stopping anywhere inside them changes no bit, and they do what they are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from engine.errors import CaptureError, RecipeError, UnrenderError
from engine.optimize.messages import StepReport
from engine.optimize.recipe import load_recipe, recipe_names
from engine.optimize.session import Session
from engine.optimize.session_start import check_recipe
from engine.optimize.stage import STAGES
from tests.engine.optimize.small_run import SmallCapture, SmallPixels

STEPS = {"volume": 30, "shape": 24, "refine": 24}


class BallCapture(SmallCapture):
    """Views of a ball whose colour varies smoothly over its surface."""

    def __init__(self) -> None:
        super().__init__(size=(40, 40))
        for i, frame in enumerate(self.frames):
            origin, directions = frame.camera.rays()
            along = -(directions @ origin)
            gap = np.sqrt(np.maximum(origin @ origin - along**2, 0))
            hit = gap < 1
            point = origin + (along - np.sqrt(np.maximum(1 - gap**2, 0)))[..., None] * directions
            color = np.where(hit[..., None], 0.4 + 0.3 * np.sin(3 * point + np.arange(3)), 0)
            self._pixels[i] = SmallPixels(color.astype(np.float32), hit.astype(np.float32))

    def require_masks(self) -> None:
        pass


def recipe(**extra):
    options = {
        "stages": "hull,volume,stereo,shape,mesh,refine",
        "run.checkpoint_seconds": 1000,
        "hull.resolution": 20,
        "volume.resolution": 24,
        "volume.rays": 300,
        "stereo.resolution": 24,
        "shape.resolution": 16,
        "shape.mask_steps": 8,
        "mesh.faces": 400,
        "mesh.texture_size": 64,
        "mesh.occlusion_rays": 4,
        **{f"{stage}.steps": steps for stage, steps in STEPS.items()},
        **extra,
    }
    return load_recipe("object", [f"{key}={value}" for key, value in options.items()])


def create(folder: Path, **extra) -> Session:
    return Session.create(BallCapture(), recipe(**extra), folder, device="cpu")


def result(session: Session) -> dict[str, np.ndarray]:
    tensors, _ = session.context.scene.to_tensors()
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[dict[str, np.ndarray], list[StepReport]]:
    """(what an uninterrupted run leaves in the scene, its step reports)."""
    reports = []
    with create(tmp_path_factory.mktemp("whole") / "run") as session:
        assert session.run(lambda m: reports.append(m) if isinstance(m, StepReport) else None)
        return result(session), reports


# Steps 0 to 29 are the volume's (its grids change at 15 and 24), 30 to 53 the shape's (colour from 38), then refine's.
@pytest.mark.parametrize("step", [7, 15, 20, 26, 33, 38, 47, 54, 57, 77])
def test_stopping_inside_a_stage_changes_no_bit(whole, tmp_path, step):
    with create(tmp_path / "run") as session:
        assert not session.run(until=step)
        assert session.total_step == step
    with Session.open(tmp_path / "run", device="cpu", capture=BallCapture()) as session:
        assert session.total_step == step and session.run()
        assert same(result(session), whole[0])


def test_the_thread_count_changes_no_bit(whole, tmp_path):
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with create(tmp_path / "run") as session:
            session.run()
            assert same(result(session), whole[0])
    finally:
        numba.set_num_threads(threads)


def test_another_seed_gives_another_result(whole, tmp_path):
    with create(tmp_path / "run", **{"run.seed": 1, "refine.steps": 0}) as session:
        session.run()
        assert not np.array_equal(result(session)["mesh.vertices"], whole[0]["mesh.vertices"])


@pytest.mark.parametrize("stage", STEPS)
def test_every_stage_lowers_its_loss(whole, stage):
    mine = [report for report in whole[1] if report.stage == stage]
    assert [report.step for report in mine] == list(range(1, STEPS[stage] + 1))
    assert all(np.isfinite(report.loss) for report in mine)
    comparable = [r.loss for r in mine if stage != "shape" or r.step > 8]  # the shape's colour loss begins at step 8
    assert np.mean(comparable[-4:]) < np.mean(comparable[:4])


def test_the_result_is_a_ball_with_textures(whole):
    scene = whole[0]
    radius = np.linalg.norm(scene["mesh.vertices"], axis=1)
    assert abs(np.median(radius) - 1) < 0.15
    assert scene["material.base_color"].shape == (64, 64, 3) and len(scene["mesh.triangles"]) <= 400
    assert all(np.isfinite(array).all() for array in scene.values())


def test_no_steps_leave_things_as_they_are(tmp_path):
    none = {f"{stage}.steps": 0 for stage in STEPS} | {"shape.mask_steps": 0}
    with create(tmp_path / "run", **none) as session:
        assert session.run()
        assert session.total_step == 0 and len(session.context.scene.mesh.triangles) > 100


@pytest.mark.parametrize(
    "stages, words",
    [
        ("volume", "stage volume needs a distance field: let stages name hull"),
        ("stereo,hull", "stage stereo needs a visual hull: let stages name hull before it"),
        ("shape,hull", "stage shape needs a distance field: let stages name hull"),
        ("hull,mesh,shape", "stage mesh needs a surface: let stages name .*shape before it"),
        ("refine,hull", "stage refine needs an unwrapped mesh: let stages name .*given.* mesh before it"),
        ("hull,export", "stage export needs a mesh and its light or splats: let stages name .*refine.*splats"),
        ("fuse,shape", "stage shape needs a distance field"),
    ],
)
def test_a_stage_without_what_it_starts_from_is_refused_before_a_project_is_made(tmp_path, stages, words):
    with pytest.raises(RecipeError, match=words):
        create(tmp_path / "run", stages=stages, **{"fuse.resolution": 0})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_that_ship_are_in_order(name):
    check_recipe(load_recipe(name))


def test_what_stages_need_is_checked_before_a_project_is_made(tmp_path):
    class Unmasked(BallCapture):
        def require_masks(self) -> None:
            raise CaptureError("no masks")

    with pytest.raises(CaptureError, match="no masks"):
        Session.create(Unmasked(), recipe(), tmp_path / "run", device="cpu")
    with pytest.raises(RecipeError, match="refine.mesh"):
        Session.create(BallCapture(), recipe(stages="given,refine"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists() and {"hull", "given"} <= set(STAGES)


def test_a_given_mesh_is_read_and_seen_before_a_project_is_replaced(tmp_path):
    mesh, out = tmp_path / "mesh.obj", tmp_path / "run"
    triangle = "v 0 0 {0}\nv 0.5 0 {0}\nv 0 0.5 {0}\nf 1 2 3\n"
    given = {"stages": "given,refine", "refine.mesh": str(mesh)}
    mesh.write_text(triangle.format(0))
    create(out, **given).close()
    before = (out / "project.toml").read_bytes()
    for text, words in (
        ("", "mesh.obj"),
        ("v 0 0 0\n", "mesh.obj"),
        (triangle.format(500), r"no training photo sees.*\(0, 0, 500\) to \(0.5, 0.5, 500\).*capture's frame"),
    ):
        mesh.write_text(text)
        with pytest.raises(UnrenderError, match=words):
            Session.create(BallCapture(), recipe(**given), out, device="cpu", overwrite=True)
        assert (out / "project.toml").read_bytes() == before


def test_an_empty_hull_is_found_before_a_project_is_replaced(tmp_path):
    create(tmp_path / "run").close()
    before = (tmp_path / "run" / "project.toml").read_bytes()
    capture = BallCapture()
    for index, column in zip(capture.train, (2, 37, 2, 37), strict=True):  # every view shows it somewhere else
        mask = np.zeros((40, 40), np.float32)
        mask[2 + 10 * (index % 4) : 6 + 10 * (index % 4), column - 2 : column + 2] = 1
        capture._pixels[index] = SmallPixels(capture.pixels(index).color, mask)
    with pytest.raises(CaptureError, match="visual hull is empty"):
        Session.create(capture, recipe(), tmp_path / "run", device="cpu", overwrite=True)
    assert (tmp_path / "run" / "project.toml").read_bytes() == before


def test_cameras_in_one_place_are_found_before_a_project_is_made(tmp_path):
    capture = BallCapture()
    for index in capture.train:
        frame = capture.frames[index]
        pose = frame.camera.world_from_camera.copy()
        pose[:3, 3] = (0.3, -2.0, 0.1)
        capture.frames[index] = replace(frame, camera=replace(frame.camera, world_from_camera=pose))
    with pytest.raises(CaptureError, match="memory-capture: all cameras to train from .* same place.*move between"):
        Session.create(capture, recipe(), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_volume_levels_survive_a_step_back(tmp_path):
    with create(tmp_path / "run", stages="hull,volume") as session:
        session.run(until=16)
        stage = session.stage
        tensors, values = stage.state()
        kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        before = torch.get_rng_state()
        session.run(until=26)
        assert stage.level > values["level"]
        stage.restore(session.context, kept, values)
        assert stage.level == values["level"] and torch.equal(stage.volume.values, kept["values"])
        assert torch.equal(torch.get_rng_state(), before)
