"""Stage refine on the device: chosen by rasterizer and gradient, fits, stops and goes on without a trace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.errors import UnrenderError
from engine.exchange import TangentSpace
from engine.kernels.webgpu import gpu
from engine.optimize.messages import Notice, StepReport
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.stage import Stage, StageContext, register, stage_for
from engine.optimize.stages.refine import RefineStage
from engine.optimize.stages.refine_loop import LoopRefineStage
from engine.optimize.stochastic import LoopScene, LoopView, StochasticLoop
from engine.optimize.stochastic.limits import BINDING
from engine.optimize.stochastic.memory import ALIGNED, VIEW
from engine.optimize.stochastic.options import GroupOptions, LoopOptions
from engine.optimize.textures import material_from_texture, texture_from_material
from engine.scene import Mesh
from tests.engine.optimize.stochastic.loop_scenes import globe_scene, texture_of
from tests.engine.optimize.test_stages import BallCapture, result, same

STEPS = 24
OPTIONS = {
    "stages": "globe,refine",
    "run.checkpoint_seconds": 1000,
    "run.evaluate": "false",
    "refine.steps": STEPS,
    "refine.learning_rate_texture": 0.05,
    "optimize.gradient": "stochastic",
    "optimize.on_device": "true",
}


@register
class GlobeStage(Stage):
    """Puts an unwrapped sphere of grey into the scene."""

    name = "globe"

    @classmethod
    def leaves(cls, recipe) -> tuple[str, ...]:
        return ("an unwrapped mesh",)

    def begin(self, context: StageContext) -> None:
        made = globe_scene()
        context.scene.mesh = Mesh(0.9 * made.vertices, made.triangles, made.uvs, made.uv_triangles)
        context.scene.material = material_from_texture(torch.from_numpy(texture_of(np.full((32, 32, 3), 0.5))))


def create(folder: Path, **extra) -> Session:
    recipe = load_recipe("object", [f"{key}={value}" for key, value in (OPTIONS | extra).items()])
    return Session.create(BallCapture(), recipe, folder, device="webgpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[dict[str, np.ndarray], list[StepReport]]:
    """(what an uninterrupted run leaves in the scene, its step reports)."""
    reports = []
    with create(tmp_path_factory.mktemp("whole") / "run") as session:
        assert session.run(lambda m: reports.append(m) if isinstance(m, StepReport) else None)
        return result(session), reports


@pytest.mark.parametrize(
    ("rasterizer", "gradient", "on_device", "expected"),
    [
        ("webgpu", "stochastic", "true", LoopRefineStage),
        ("webgpu", "stochastic", "false", RefineStage),
        ("webgpu", "analytic", "true", RefineStage),
        ("numba", "stochastic", "true", RefineStage),
    ],
)
def test_the_loop_stands_in_for_stochastic_gradients_on_webgpu_where_asked(rasterizer, gradient, on_device, expected):
    recipe = load_recipe("object", [f"optimize.gradient={gradient}", f"optimize.on_device={on_device}"])
    scene = SimpleNamespace(mesh=None, material=None)
    context = SimpleNamespace(recipe=recipe, rasterizer=SimpleNamespace(name=rasterizer), scene=scene)
    assert type(stage_for("refine", context)) is expected


def test_what_the_device_has_no_room_for_is_refined_off_it_and_told(tmp_path, monkeypatch):
    monkeypatch.setitem(gpu().limits, BINDING, 4000)
    notices = []
    with create(tmp_path / "run", **{"refine.steps": 1}) as session:
        assert session.run(lambda m: notices.append(m.text) if isinstance(m, Notice) else None)
    assert any("optimize.on_device has no effect" in text and "larger than" in text for text in notices)


def test_a_device_lost_for_good_before_it_begins_leaves_the_stage_to_the_processor(tmp_path, monkeypatch):
    def lost(self, gpu):
        raise gpu.lose("the test took it away")

    monkeypatch.setattr(StochasticLoop, "_build", lost)
    notices = []
    with create(tmp_path / "run", **{"refine.steps": 1}) as session:
        assert session.run(lambda m: notices.append(m.text) if isinstance(m, Notice) else None)
        assert session.device.rasterizer == "numba"
    assert any(text.endswith("from now on numba draws instead") for text in notices)


def test_it_fits_the_photos_better_than_before(whole):
    losses = [report.loss for report in whole[1] if report.stage == "refine"]
    assert len(losses) == STEPS
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


@pytest.mark.slow
def test_it_ends_as_near_to_the_photos_as_exact_gradients_in_as_many_steps(tmp_path):
    few = {"refine.steps": 60, "refine.learning_rate_texture": 0.01, "refine.ssim": 0}
    found = {}
    for gradient in ("analytic", "stochastic"):
        with create(tmp_path / gradient, **few | {"optimize.gradient": gradient}) as session:
            assert session.run()
            found[gradient] = photos_psnr(session)
    assert found["stochastic"] > found["analytic"] > 20  # two photos a step, of which the loop makes a move each


def photos_psnr(session: Session) -> float:
    """dB of all photos against what the session ends with, drawn on the device."""
    capture, made = session.capture, session.context.scene
    views = []
    for index in (*capture.train, *capture.test):
        pixels = capture.pixels(index)
        views.append(LoopView(capture.frames[index].camera, pixels.color, pixels.mask))
    mesh, space = made.mesh, TangentSpace(made.mesh.triangles, made.mesh.uvs, made.mesh.uv_triangles)
    scene = LoopScene(
        mesh.vertices,
        mesh.triangles,
        mesh.uvs,
        mesh.uv_triangles,
        texture_from_material(made.material).numpy(),
        space.tangents(mesh.vertices, mesh.vertex_normals()),
        space.triangles,
        made.environment,
    )
    return StochasticLoop(gpu(), scene, views, LoopOptions(order=("environment",)), "pbr").psnr()


def test_everything_has_moved_and_is_finite(whole, tmp_path):
    with create(tmp_path / "run", **{"refine.steps": 0}) as session:
        session.run()
        start = result(session)
    for name, array in whole[0].items():
        assert np.isfinite(array).all(), name
    moved = [name for name in start if name in whole[0] and not np.array_equal(start[name], whole[0][name])]
    assert {"mesh/vertices", "material/base_color"} <= {name.replace(".", "/") for name in moved}, moved


@pytest.mark.parametrize("step", [5, 20])
def test_stopping_inside_the_stage_changes_no_bit(whole, tmp_path, step):
    with create(tmp_path / "run") as session:
        assert not session.run(until=step)
    with Session.open(tmp_path / "run", device="webgpu", capture=BallCapture()) as session:
        assert session.total_step == step and session.run()
        assert same(result(session), whole[0])


def test_with_nothing_to_move_it_ends_and_reports_the_loss(tmp_path):
    frozen = dict.fromkeys(("refine.geometry", "refine.material", "refine.light"), "false")
    reports = []
    with create(tmp_path / "run", **frozen, **{"refine.steps": 7}) as session:
        assert session.run(lambda m: reports.append(m) if isinstance(m, StepReport) else None)
    losses = [report.loss for report in reports if report.stage == "refine"]
    assert len(losses) == 7 and np.isfinite(losses).all() and min(losses) > 0


def test_schedules_span_the_stage_the_mask_is_live_and_idle_options_are_named(tmp_path, monkeypatch):
    seen, notices, step = [], [], LoopRefineStage.step

    def spied(stage, index):
        if index == 3:
            stage.context.recipe.refine.mask = 0.75
        terms, loop = step(stage, index), stage.loop
        records = loop.gpu.read(loop.memory.views, np.uint8, (len(loop.views), ALIGNED))
        masks = {float(row[: VIEW.itemsize].view(VIEW)["mask"][0]) for row in records}
        seen.append((loop.index, loop.options.steps, masks))
        return terms

    monkeypatch.setattr(LoopRefineStage, "step", spied)
    extra = {"refine.steps": 6, "refine.batch": 2, "refine.ssim": 0, "light.scale": 0}
    with create(tmp_path / "run", **extra) as session:
        assert session.run(lambda m: notices.append(m.text) if isinstance(m, Notice) else None)
    assert {length for _, length, _ in seen} == {6 * 2 * 3} and seen[-1][0] == 6 * 2 * 3
    assert seen[2][2] == {2.0} and seen[3][2] == {0.75}
    (idle,) = [text for text in notices if "options without effect" in text]
    named = "refine.smoothness, refine.material_smoothness, light.neutral, light.smoothness"
    assert idle.endswith(f": {named}")


def test_recursive_estimates_are_an_option_and_stopping_changes_no_bit(tmp_path):
    few = {"refine.steps": 6, "optimize.recursion": 0.3, "refine.material": "false", "refine.light": "false"}
    with create(tmp_path / "whole", **few) as session:
        assert session.run()
        expected = result(session)
    with create(tmp_path / "plain", **few | {"optimize.recursion": 1.0}) as session:
        assert session.run()
        assert not same(result(session), expected)
    with create(tmp_path / "parts", **few) as session:
        assert not session.run(until=5)
    with Session.open(tmp_path / "parts", device="webgpu", capture=BallCapture()) as session:
        assert session.run() and same(result(session), expected)


@pytest.mark.parametrize("name", ["limit", "smoothness", "mask", "recursion"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_options_of_the_loop_out_of_range_are_named(name, value):
    with pytest.raises(UnrenderError, match=f"{name} = .* is out of range; give a "):
        LoopOptions(**{name: value})


@pytest.mark.parametrize("name", ["eps", "rate", "eps_end", "rate_end", "beta1", "beta2"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_options_of_a_group_out_of_range_are_named(name, value):
    with pytest.raises(UnrenderError, match=f"{name} = .* of a group is out of range; give"):
        GroupOptions(**({"eps": 0.5, "rate": 0.1} | {name: value}))
