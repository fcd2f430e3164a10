"""What scripts can do with splats: export them as they are, with what was learned behind them."""

from __future__ import annotations

from app.scripting.namespace import _exported
from engine.capture import CaptureOptions, open_capture
from engine.exchange import read_backdrop, read_splats
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.splat_files import SplatScene, splat_facts, write_splat_files
from tests.engine.optimize.splatted_capture import draw, sky, wall

OPTIONS = ["splats.start=200", "splats.budget=300", "splats.degree=0", "splats.steps=9", "splats.background_rows=8"]


def test_splats_are_exported_in_the_middle_of_a_run(tmp_path):
    capture = open_capture(draw(tmp_path / "photos", wall(), sky(), size=32), CaptureOptions())
    recipe = load_recipe("scene", [*OPTIONS, "splats.background=environment"])
    with Session.create(capture, recipe, tmp_path / "run", "cpu") as session:
        while session.total_step < 2:
            session.step()
        folder = _exported(session, tmp_path / "now")
        shot = session.snapshot_now()
    names = {path.name for path in folder.iterdir()}
    assert {"scene.ply", "scene.spz", "scene.html", "background.png"} <= names
    assert len(read_splats(folder / "scene.ply")) == len(shot.gaussians)
    cameras = (capture.frames[0].camera,)
    scene = SplatScene(shot.gaussians, shot.splat_look, capture.up, cameras)
    assert "PNG" in splat_facts(scene)["Background"]
    report = write_splat_files(tmp_path / "asset", "asset", ["ply", "html"], scene)  # what the window writes
    assert report.psnr > 60 and set(report.sizes) == {"asset.ply", "asset.html", "asset_background.png"}
    assert read_backdrop(tmp_path / "asset" / "asset_background.png", capture.up).colors.shape == (8, 16, 3)
