"""What a run exports of splats: files that every reader draws as they were trained, all of them or none."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ExchangeError
from engine.exchange.splats import read_splats, write_splats
from engine.optimize import splat_files
from engine.optimize.messages import DeleteSplats, Notice, RestoreSplats
from engine.optimize.metrics import psnr
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.snapshot import SplatLook
from engine.optimize.splat_files import SplatScene, write_splat_files
from engine.optimize.splat_renderer import SplatRenderer
from engine.optimize.stages.splats import SplatsStage
from engine.scene.gaussians import SHAPES
from engine.splats import splatter
from engine.splats.contract import SplatOptions
from engine.splats.parameters import SplatTensors
from tests.app.window.drawn_capture import draw_capture
from tests.engine.splats.scenes import camera, scene

SHORT = ["splats.start=150", "splats.budget=150", "splats.degree=0", "splats.coarse=0", "splats.steps=10"]
EXPONENTIAL = ["splats.kind=exponential", "splats.learning_rate_shapes=0.8"]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return draw_capture(tmp_path_factory.mktemp("balls") / "balls", views=4, size=24)


def begun(capture, folder, *options: str) -> Session:
    session = Session.create(capture, load_recipe("scene", [*SHORT, *options]), folder, "cpu")
    session.heard = []
    session.listen(session.heard.append)
    return session


@pytest.fixture
def trained(monkeypatch) -> list[SplatTensors]:
    """The splats of each stage that ends, as it has optimized them."""
    ended, finish = [], SplatsStage.finish

    def noted(stage: SplatsStage) -> None:
        ended.append(stage.splats)
        finish(stage)

    monkeypatch.setattr(SplatsStage, "finish", noted)
    return ended


def told(session) -> str:
    return " | ".join(message.text for message in session.heard if isinstance(message, Notice))


@pytest.mark.parametrize("option", ["rescaled", "antialiased"])
def test_every_reader_draws_the_files_as_they_were_trained(capture, tmp_path, trained, option):
    options = EXPONENTIAL if option == "rescaled" else ["splats.learning_rate_scales=0.2"]
    session = begun(capture, tmp_path / "run", *options, f"splats.{option}=true")
    assert session.run()
    (splats,), view, draw = trained, session.capture.frames[0].camera, splatter("numba").render
    expected = draw(splats, view, SplatOptions(**{option: True})).color.detach().numpy()
    otherwise = draw(splats, view).color.detach().numpy()
    exports = session.project.exports
    files = {suffix: read_splats(exports / f"scene.{suffix}") for suffix in ("ply", "spz")}
    drawn = {suffix: SplatRenderer(file).image(view).color.numpy() for suffix, file in files.items()}
    assert psnr(otherwise, expected) < 45 < 80 < psnr(drawn["ply"], expected)
    assert psnr(drawn["spz"], expected) > 30
    page = (exports / "scene.html").read_text()
    for file in files.values():
        assert (file.kind, file.antialiased) == ("gaussian", option == "antialiased")
    assert '"kind": "gaussian"' in page and f'"antialiased": {str(option == "antialiased").lower()}' in page
    assert ("say that they are antialiased" in told(session)) == (option == "antialiased")
    metrics = session.evaluate()
    assert metrics["export_psnr"] > 80 and 30 < metrics["spz_psnr"] < 80
    session.close()


def test_a_start_file_that_is_antialiased_says_so(capture, tmp_path):
    start = replace(scene("gaussian", 50, 0), antialiased=True)
    write_splats(tmp_path / "start.ply", start)
    for option in ("false", "true"):
        options = (f"splats.start_file={tmp_path / 'start.ply'}", f"splats.antialiased={option}")
        session = begun(capture, tmp_path / option, *options)
        session.step()
        assert ("splats.antialiased=true trains on so" in told(session)) == (option == "false")
        session.close()


def test_shapes_stay_where_files_may_have_them(capture, tmp_path, trained):
    session = begun(capture, tmp_path / "run", "splats.kind=exponential", "splats.learning_rate_shapes=5")
    assert session.run()
    shapes = trained[0].shapes.detach().numpy()
    assert shapes.max() == SHAPES[1] and shapes.min() >= np.float32(SHAPES[0])
    assert session.context.scene.values["export_psnr"] > 80
    session.close()


def test_what_was_deleted_in_training_comes_back_as_what_it_was_drawn_as(capture, tmp_path):
    session = begun(capture, tmp_path / "run", *EXPONENTIAL, "splats.rescaled=true", "run.evaluate=false")
    while session.total_step < 8:
        session.step()
    before = session.stage.gaussians()
    gone = before.in_box((-2.0, -2, 0, 2, 2, 2))
    session.queue(DeleteSplats(1, (-2.0, -2, 0, 2, 2, 2)))
    session.serve(0)
    assert session.run() and len(session.context.scene.gaussians) == len(before) - gone.sum() < len(before)
    session.queue(RestoreSplats(1))
    session.serve(0)
    back = session.context.scene.gaussians
    assert back.kind == "gaussian" and len(back) == len(before)
    for name, array in before.select(gone).arrays().items():
        np.testing.assert_allclose(getattr(back, name)[-gone.sum() :], array, atol=1e-6)
    session.close()


def test_a_capture_far_from_the_origin_ends_without_spz(tmp_path):
    folder = draw_capture(tmp_path / "balls", views=4, size=24)
    document = json.loads((folder / "transforms.json").read_text())
    for frame in document["frames"]:
        for axis, shift in enumerate((5e5, 5.4e6, 300.0)):
            frame["transform_matrix"][axis][3] += shift
    (folder / "transforms.json").write_text(json.dumps(document))
    session = begun(folder, tmp_path / "run")
    assert session.run()
    assert {path.name for path in session.project.exports.iterdir()} == {"scene.ply", "scene.html"}
    assert "beyond what SPZ holds" in told(session) and ".partial" not in told(session)
    assert "from the origin, where single precision" in told(session)
    metrics = session.evaluate()
    assert metrics["primitives"] and metrics["spz_psnr"] is None
    session.close()


def test_runaway_splats_are_left_out_and_said(tmp_path):
    splats, view = scene("gaussian", 50, 0), camera(32, 24)
    splats.means[3], splats.log_scales[5] = 2e10, 25
    shown, said = SplatScene(splats, SplatLook((0.0, 0.0, 0.0)), np.array([0, 0, 1.0]), (view,)), []
    report = write_splat_files(tmp_path / "out", "scene", ["ply", "spz", "html"], shown, notice=said.append)
    assert len(read_splats(tmp_path / "out" / "scene.ply", pytest.fail)) == 48 and len(report.sizes) == 3
    assert said == list(report.notices) and f"{tmp_path / 'out' / 'scene'}: 2 of 50 splats" in said[0]
    splats.means[:] = 2e10
    with pytest.raises(ExchangeError, match="all 50 splats lie or extend beyond 1e.09 units; train them again"):
        write_splat_files(tmp_path / "out", "scene", ["ply"], shown)


def test_files_appear_together_or_not_at_all(capture, tmp_path, monkeypatch):
    session = begun(capture, tmp_path / "run", "run.evaluate=false")
    assert session.run()
    shot = session.snapshot_now()
    cameras = tuple(frame.camera for frame in session.capture.frames)
    shown = SplatScene(shot.gaussians, shot.splat_look, session.capture.up, cameras)
    session.close()

    def full(path, *_):
        raise ExchangeError(f"{path}: cannot be written: the disk is full; free some space and export again")

    monkeypatch.setattr(splat_files, "write_splat_html", full)
    with pytest.raises(ExchangeError) as error:
        write_splat_files(tmp_path / "out", "scene", ["ply", "spz", "html"], shown)
    assert str(error.value).startswith(f"{tmp_path / 'out' / 'scene.html'}: ")
    assert not (tmp_path / "out").exists()
