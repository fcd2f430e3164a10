"""Splats before a learned environment: it is learned, saved, shown, exported and evaluated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.capture import CaptureOptions, open_capture
from engine.errors import RecipeError
from engine.exchange import read_backdrop
from engine.optimize.encoded_photos import EncodedPhotos
from engine.optimize.messages import Notice
from engine.optimize.preview import PreviewRenderer
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.splat_backdrop import LearnedBackdrop, backdrop_image
from engine.optimize.views import ViewSet
from engine.scene import Backdrop
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from tests.engine.optimize.splatted_capture import draw, sky, wall

SHORT = ["splats.start=300", "splats.budget=400", "splats.degree=0", "splats.coarse=0", "splats.background_rows=16"]
SHORT += ["export.spz=false"]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return open_capture(draw(tmp_path_factory.mktemp("sky") / "photos", wall(), sky()), CaptureOptions())


def ended(capture, out, background: str, steps: int = 160) -> Session:
    recipe = load_recipe("scene", [*SHORT, f"splats.background={background}", f"splats.steps={steps}"])
    session = Session.create(capture, recipe, out, "cpu")
    session.heard = []
    session.listen(session.heard.append)
    session.run()
    return session


def test_the_start_is_what_photos_have_in_each_direction(capture):
    true = sky(16)
    start = LearnedBackdrop.seen(ViewSet(capture), EncodedPhotos(), 16).snapshot()
    assert np.allclose(start.world_from_environment, true.world_from_environment)
    errors = []
    for frame in capture.frames:
        bare = splatter("numba").render(SplatTensors.of(wall()), frame.camera, SplatOptions()).alpha.numpy() < 0.01
        seen, sought = (
            backdrop_image(torch.from_numpy(each.colors), each.world_from_environment, frame.camera).numpy()[bare]
            for each in (start, true)
        )
        errors.append(np.abs(seen - sought).mean())
    assert np.mean(errors) < 0.05, errors
    unseen = start.colors[5:11, 4:12]  # the photos look along +x, three quarters along the map
    assert unseen.std((0, 1)).max() < 1e-6 and 0.1 < unseen.mean() < 0.9


@pytest.mark.slow
def test_a_sky_is_learned_shown_exported_and_evaluated(capture, tmp_path):
    session = ended(capture, tmp_path / "run", "environment")
    plain = ended(capture, tmp_path / "plain", "black")
    learned = session.context.scene.backdrop
    assert isinstance(learned, Backdrop) and learned.colors.shape == (16, 32, 3)
    snapshot = session.snapshot_now()
    assert isinstance(snapshot.splat_look.background, Backdrop)
    camera = capture.frames[capture.train[0]].camera
    rgba = PreviewRenderer(snapshot).image(camera).rgba
    photo = capture.pixels(capture.train[0]).color
    assert rgba[..., 3].min() == 255 and rgba.shape[:2] == photo.shape[:2]
    written = read_backdrop(session.project.exports / "background.png", capture.up)
    assert np.abs(written.colors - learned.colors).max() < 0.51 / 255
    assert "backdrop" in (session.project.exports / "scene.html").read_text()
    told = " | ".join(message.text for message in session.heard if isinstance(message, Notice))
    assert "PLY and SPZ hold no environment: what is behind the splats is in background.png" in told
    metrics, black = session.evaluate(), plain.evaluate()
    assert metrics["export_psnr"] > 45
    assert metrics["psnr"] > black["psnr"] + 1, (metrics["psnr"], black["psnr"])
    session.close(), plain.close()


def test_a_resumed_run_goes_on_with_the_same_environment(capture, tmp_path):
    recipe = load_recipe("scene", [*SHORT, "splats.background=environment", "splats.steps=8", "run.evaluate=false"])
    whole = Session.create(capture, recipe, tmp_path / "whole", "cpu")
    while whole.total_step < 6:
        whole.step()
    part = Session.create(capture, recipe, tmp_path / "part", "cpu")
    while part.total_step < 3:
        part.step()
    part.checkpoint()
    part.close()
    again = Session.open(tmp_path / "part")
    while again.total_step < 6:
        again.step()
    expected, found = whole.stage.backdrop.colors.detach(), again.stage.backdrop.colors.detach()
    assert expected.std() > 0 and np.array_equal(expected.numpy(), found.numpy())
    whole.close(), again.close()


def test_masked_objects_have_no_environment(tmp_path):
    from tests.app.window.drawn_capture import draw_capture

    masked = draw_capture(tmp_path / "balls", views=4, size=24)
    recipe = load_recipe("scene", ["splats.background=environment"])
    with pytest.raises(RecipeError, match=r"splats.background=environment: masks cut the surroundings out"):
        Session.create(masked, recipe, tmp_path / "run", "cpu")
