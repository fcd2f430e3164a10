"""What is written or drawn of a run that is over costs no photo."""

from __future__ import annotations

import pytest

from engine.capture import capture as captures
from engine.errors import ProjectError
from engine.optimize.project import Project
from engine.optimize.recipe import Recipe, load_recipe
from engine.optimize.saved_scene import saved_context
from engine.optimize.session import Session
from tests.app.window.drawn_capture import draw_capture
from tests.engine.optimize.small_run import SmallCapture, SmallRecipe, create

HULL = ["stages=hull", "hull.resolution=16", "run.evaluate=false", "capture.skip_bad_frames=true"]


class DecodedCapture(SmallCapture):
    """One that counts how often all of its photos are decoded."""

    count = 0

    def check_images(self, progress=None) -> SmallCapture:
        self.count += 1
        return self


def test_a_finished_run_is_opened_without_decoding_its_photos(tmp_path):
    with create(tmp_path / "a", steps=20) as session:
        session.run(until=10)
    capture = DecodedCapture()
    with Session.open(tmp_path / "a", SmallRecipe, device="cpu", capture=capture) as session:
        assert capture.count == 1 and session.run()
    with Session.open(tmp_path / "a", SmallRecipe, device="cpu", capture=capture) as session:
        assert capture.count == 1 and session.finished


@pytest.fixture
def short_of_one(tmp_path):
    """A finished run on photos of which one has damaged pixels and was left out."""
    photos = draw_capture(tmp_path / "balls", views=5, size=24)
    damaged = photos / "photo_03.png"
    damaged.write_bytes(damaged.read_bytes()[:120])
    with Session.create(photos, load_recipe("object", HULL), tmp_path / "run", "cpu") as session:
        assert session.run() and len(session.capture.frames) == 4
    return photos, tmp_path / "run"


def test_a_photo_that_was_left_out_stays_out(short_of_one):
    _, folder = short_of_one
    told = []
    context = saved_context(Project.open(folder, Recipe, lock=False), None, told.append)
    assert [frame.name for frame in context.capture.frames] == [f"photo_0{i}.png" for i in (0, 1, 2, 4)]
    assert "1 of 5 frames" in told[0].text
    with Session.open(folder) as session:
        assert session.finished and len(session.capture.frames) == 4


def test_other_photos_than_those_of_the_run_are_refused(short_of_one):
    photos, folder = short_of_one
    (photos / "photo_01.png").write_bytes((photos / "photo_00.png").read_bytes() + b"\0")
    with pytest.raises(ProjectError, match="photos or poses changed"):
        saved_context(Project.open(folder, Recipe, lock=False), None, lambda message: None)


def test_the_saved_scene_is_read_without_pixels(tmp_path, monkeypatch):
    photos = draw_capture(tmp_path / "balls", views=5, size=24)
    with Session.create(photos, load_recipe("object", HULL), tmp_path / "run", "cpu") as session:
        assert session.run()
        hull = session.context.scene.box
    monkeypatch.setattr(captures, "load_pixels", None)
    project = Project.open(tmp_path / "run", Recipe, lock=False)
    context = saved_context(project, None, lambda message: None)
    assert (context.scene.box == hull).all() and context.exports == tmp_path / "run" / "exports"
    assert context.recipe.hull.resolution == 16 and not project.history
