"""Stage splats by stochastic gradients: trains through a function without a derivative, and says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import RecipeError
from engine.exchange.splats import write_splats
from engine.optimize.evaluate_splats import evaluated_splats
from engine.optimize.messages import Notice, StepReport
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.splat_gradient import picture_shading
from engine.optimize.stage import STAGES
from engine.optimize.stages.stochastic_splats import StochasticSplatsStage
from engine.raster.stochastic.credit import RULES
from engine.scene import Gaussians
from engine.scene.conventions import srgb_to_linear
from engine.shading.blackbox import allow_scripts
from engine.splats.stochastic_credit import SplatCredit
from tests.engine.optimize.test_stages import BallCapture, result, same

STEPS = 100
QUANTIZED = """
def shade(surface):
    return np.floor(5 * (1 - surface.base_color)) / 5
"""
OPTIONS = {
    "stages": "splats",
    "run.evaluate": "false",
    "run.checkpoint_seconds": 1000,
    "splats.steps": STEPS,
    "splats.budget": 120,
    "splats.degree": 0,
    "splats.coarse": 0,
    "splats.background": "black",
    "splats.learning_rate_color": 0.1,
    "optimize.gradient": "stochastic",
}


class NegativeCapture(BallCapture):
    """The ball, each photo as QUANTIZED makes it of the ball's own colours."""

    def __init__(self) -> None:
        super().__init__()
        for pixels in self._pixels:
            inside = pixels.mask[..., None] > 0
            pixels.color[:] = np.where(inside, np.floor(5 * (1 - pixels.color)) / 5, 0)

    def points(self) -> None:
        """It has none, so that splats start from the masks' hull."""

    def polarity_problem(self) -> str:
        """None: its masks are right."""
        return ""


@pytest.fixture(scope="module")
def quantizer(tmp_path_factory) -> Path:
    allow_scripts()
    file = tmp_path_factory.mktemp("shading") / "quantized.py"
    file.write_text(QUANTIZED)
    yield file
    allow_scripts(False)


def create(folder: Path, **extra) -> Session:
    recipe = load_recipe("scene", [f"{key}={value}" for key, value in (OPTIONS | extra).items()])
    return Session.create(NegativeCapture(), recipe, folder, device="cpu")


@pytest.fixture(scope="module")
def grey_ball(tmp_path_factory) -> Path:
    """A file of 60 grey splats about where the ball's surface is."""
    count = 60
    k = np.arange(count)
    height, angle = 1 - 2 * (k + 0.5) / count, k * np.pi * (3 - 5**0.5)
    ring = np.sqrt(1 - height**2)
    means = 0.85 * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1)
    turned, size = np.tile(np.float32([1, 0, 0, 0]), (count, 1)), np.full((count, 3), np.log(0.2), np.float32)
    grey = np.zeros((count, 1, 3), np.float32)
    file = tmp_path_factory.mktemp("splats") / "ball.ply"
    write_splats(file, Gaussians(means.astype(np.float32), turned, size, np.full(count, 2.0, np.float32), grey))
    return file


@pytest.mark.slow
def test_splats_are_fitted_through_a_quantizing_function(tmp_path, quantizer, grey_ball):
    heard: list = []
    with create(tmp_path / "run", **{"shading.file": quantizer, "splats.start_file": grey_ball}) as session:
        session.step()
        assert isinstance(session.stage, StochasticSplatsStage)
        before = session.stage.splats.gaussians()
        assert session.run(heard.append)
        after = session.context.scene.gaussians
    reports = [message for message in heard if isinstance(message, StepReport)]
    assert np.mean([r.loss for r in reports[-10:]]) < 0.8 * np.mean([r.loss for r in reports[:10]])
    assert np.mean([r.psnr for r in reports[-10:]]) > np.mean([r.psnr for r in reports[:10]]) + 1.5
    for name in ("means", "rotations", "log_scales", "logits", "harmonics"):
        assert np.isfinite(getattr(after, name)).all()
        if len(before) == len(after):
            assert not np.array_equal(getattr(before, name), getattr(after, name)), name
    assert any("splats.ssim" in message.text for message in heard if isinstance(message, Notice))


@pytest.mark.parametrize("has_depth", [False, True])
def test_options_without_effect_are_told(tmp_path, grey_ball, monkeypatch, has_depth):
    monkeypatch.setattr(NegativeCapture, "has_depth", has_depth)
    heard: list = []
    with create(tmp_path / "run", **{"splats.start_file": grey_ball, "splats.steps": 1}) as session:
        session.run(heard.append)
    told = next(m.text for m in heard if isinstance(m, Notice) and "without effect" in m.text)
    assert "splats.ssim" in told and ("splats.depth_weight" in told) == has_depth


def test_stopping_inside_the_stage_changes_no_bit(tmp_path, quantizer, grey_ball):
    short = {"shading.file": quantizer, "splats.start_file": grey_ball, "splats.steps": 8, "splats.background": "auto"}
    with create(tmp_path / "whole", **short) as session:
        assert session.run()
        whole = result(session)
    with create(tmp_path / "run", **short) as session:
        assert not session.run(until=3)
    with Session.open(tmp_path / "run", device="cpu", capture=NegativeCapture()) as session:
        assert session.total_step == 3 and session.run()
        assert same(result(session), whole)


def test_a_shading_in_wgsl_stands_between_too(tmp_path, grey_ball):
    toon = {"shading.name": "toon", "splats.start_file": grey_ball, "splats.steps": 2}
    reports = []
    with create(tmp_path / "run", **toon) as session:
        assert session.run(lambda m: reports.append(m.loss) if isinstance(m, StepReport) else None)
    assert len(reports) == 2 and np.isfinite(reports).all()


@pytest.mark.parametrize("masked", [True, False])
def test_metrics_are_of_splats_through_their_shading(tmp_path, quantizer, grey_ball, monkeypatch, masked):
    monkeypatch.setattr(NegativeCapture, "has_masks", masked, raising=False)
    options = {"stages": "splats,export", "splats.steps": 1, "export.html": "false", "export.spz": "false"}
    heard: list = []
    with create(tmp_path / "run", **options, **{"shading.file": quantizer, "splats.start_file": grey_ball}) as session:
        assert session.run(heard.append)
        metrics, renderer = evaluated_splats(session, lambda done, text: None)
        camera = session.capture.frames[session.capture.test[0]].camera
        color, alpha = renderer.render(camera)
        drawn = renderer.image(camera)
    covered = drawn.alpha.numpy() > 0.5
    assert covered.any() and (alpha == 1).all() == (not masked)
    straight = drawn.color.numpy()[covered] / drawn.alpha.numpy()[covered, None]  # before black or nothing
    shown = srgb_to_linear(straight)
    np.testing.assert_allclose(5 * shown, np.round(5 * shown), atol=1e-3)  # their own colours are near 1.07 / 5
    assert np.isfinite(metrics["psnr"]) and metrics["primitives"] == 60
    assert any(str(quantizer) in message.text for message in heard if isinstance(message, Notice))


def test_only_stochastic_splats_have_a_shading_before_them():
    toon = ["shading.name=toon"]
    assert picture_shading(load_recipe("scene", toon)) is None
    assert picture_shading(load_recipe("scene", ["optimize.gradient=stochastic"])) is None
    assert picture_shading(load_recipe("toon")) is None, "it has no splats"
    assert picture_shading(load_recipe("scene", [*toon, "optimize.gradient=stochastic"])).shading.name == "toon"


def test_a_shading_that_reads_the_light_is_refused(tmp_path, grey_ball):
    own = tmp_path / "lit.wgsl"
    own.write_text("#include pbr\n#include surface\nfn shade_twice(s: Surface) -> vec3f { return 2.0 * shade(s); }\n")
    with create(tmp_path / "run", **{"shading.file": own, "splats.start_file": grey_ball}) as session:
        with pytest.raises(RecipeError, match="has no environment, and the shading .*lit.wgsl reads one"):
            session.run()


@pytest.mark.parametrize(
    ("option", "value"), [("kind", "surface"), ("density", "classic"), ("rescaled", "true"), ("masks", "ignore")]
)
def test_what_it_cannot_do_is_refused(tmp_path, option, value):
    with create(tmp_path / "run", **{f"splats.{option}": value}) as session:
        with pytest.raises(RecipeError, match=r"gradient=stochastic needs .*splats\."):
            session.run()


def test_the_rule_for_splats_is_registered():
    assert RULES["splats"] is SplatCredit and STAGES["splats"] is not StochasticSplatsStage
