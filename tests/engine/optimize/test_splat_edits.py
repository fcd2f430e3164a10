"""Splats deleted by a box and put back between steps: what stays, what is saved, and that a run repeats it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.errors import GeometryError, RecipeError
from engine.exchange.splats import read_splats, write_splats
from engine.optimize.history import Entry
from engine.optimize.messages import DeleteSplats, Notice, RestoreSplats
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.splat_start import splats_of_file
from tests.app.window.drawn_capture import draw_capture

UPPER = (-2.0, -2.0, 0.0, 2.0, 2.0, 2.0)
SHORT = ["splats.steps=12", "splats.start=60", "splats.budget=100", "splats.degree=1", "run.evaluate=false"]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return draw_capture(tmp_path_factory.mktemp("balls") / "balls", views=4, size=24)


@pytest.fixture
def session(capture, tmp_path):
    made = Session.create(capture, load_recipe("scene", SHORT), tmp_path / "run", "cpu")
    made.heard = []
    made.listen(made.heard.append)
    yield made
    made.close()


def stepped(session, until):
    while session.total_step < until and not session.finished:
        session.step()
    return session


def told(session) -> str:
    return " | ".join(message.text for message in session.heard if isinstance(message, Notice))


def test_what_lies_in_the_box_goes_and_comes_back(session):
    stepped(session, 3)
    before = session.stage.splats.gaussians()
    inside = before.in_box(UPPER)
    assert 0 < inside.sum() < len(before)
    session.queue(DeleteSplats(1, UPPER))
    session.serve(0)
    left = session.stage.splats.gaussians()
    assert np.array_equal(left.means, before.means[~inside])
    assert not session.snapshot_now().gaussians.in_box(UPPER).any()
    assert session.snapshot.tensors["stage/splats.means"].shape[0] == len(left)  # what a setback goes back to
    session.queue(RestoreSplats(1))
    session.serve(0)
    back = session.stage.splats.gaussians()
    assert np.array_equal(back.means, np.concatenate([before.means[~inside], before.means[inside]]))
    assert [entry.kind for entry in session.project.history] == ["delete_inside", "restore"]
    stepped(session, 5)  # the optimizer and density control followed
    assert f"{inside.sum()} splats deleted" in told(session)


def test_the_outside_can_go_and_some_must_stay(session):
    stepped(session, 2)
    session.queue(DeleteSplats(1, UPPER, inside=False))
    session.serve(0)
    assert session.stage.splats.gaussians().in_box(UPPER).all()
    session.queue(DeleteSplats(2, (-9.0, -9, -9, 9, 9, 9)))
    session.queue(DeleteSplats(3, (8.0, 8, 8, 9, 9, 9)))
    session.queue(RestoreSplats(7))
    for _ in range(3):
        session.serve(0)
    assert "some must stay" in told(session) and "no splats inside the box" in told(session)
    assert "not kept any more" in told(session)
    assert len(session.project.history) == 1


def test_what_comes_back_keeps_to_the_budget(session):
    stepped(session, 2)
    session.queue(DeleteSplats(1, UPPER))
    session.serve(0)
    session.stage.budget = len(session.stage.splats) + 5
    session.queue(RestoreSplats(1))
    session.serve(0)
    assert len(session.stage.splats) == session.stage.budget
    assert "5 splats are back; for" in told(session) and "no room" in told(session)


def test_a_killed_run_repeats_its_deletions_with_the_same_bits(session, capture, tmp_path):
    stepped(session, 4).checkpoint()
    session.queue(DeleteSplats(1, UPPER))
    stepped(session, 7)
    session.queue(RestoreSplats(1))
    stepped(session, 10)
    expected = session.stage.splats.gaussians()
    session.close()
    with Session.open(tmp_path / "run") as again:
        assert again.total_step == 4
        stepped(again, 10)
        found = again.stage.splats.gaussians()
        assert np.array_equal(found.means, expected.means) and np.array_equal(found.logits, expected.logits)
        again.checkpoint()
    with Session.open(tmp_path / "run") as last:  # the history is not repeated twice
        stepped(last, 11)
        assert [entry.kind for entry in last.project.history if entry.by_user] == ["delete_inside", "restore"]


def test_a_finished_scene_is_edited_and_saved(session, tmp_path):
    assert session.run()
    before = session.context.scene.gaussians
    inside = before.in_box(UPPER)
    session.queue(DeleteSplats(4, UPPER))
    session.serve(0)
    assert len(session.context.scene.gaussians) == (~inside).sum()
    session.close()
    with Session.open(tmp_path / "run") as again:
        assert len(again.context.scene.gaussians) == (~inside).sum()
        again.queue(RestoreSplats(4))
        again.serve(0)
        assert len(again.context.scene.gaussians) == len(before)


def test_entries_survive_the_file():
    entry = Entry("delete_outside", 5, "splats", "2", [0.0, 0, 0, 1, 1, 1])
    assert Entry.from_mapping(entry.as_mapping()) == entry and entry.by_user


def test_a_run_starts_from_a_file(session, capture, tmp_path):
    stepped(session, 3)
    trained = session.stage.splats.gaussians()
    write_splats(tmp_path / "start.ply", trained)
    recipe = load_recipe("scene", [*SHORT, f"splats.start_file={tmp_path / 'start.ply'}"])
    heard = []
    with Session.create(capture, recipe, tmp_path / "second", "cpu") as second:
        second.listen(heard.append)
        second.step()
        assert len(second.stage.splats) == len(trained)
        assert np.abs(second.stage.splats.gaussians().means - trained.means).max() < 0.01
        assert second.stage._degree(0) == 1
    assert any("start from" in message.text for message in heard if isinstance(message, Notice))
    recipe.splats.kind = "surface"
    with pytest.raises(RecipeError, match="splats.kind=gaussian"):
        Session.create(capture, recipe, tmp_path / "third", "cpu")


def test_a_files_splats_become_the_recipes(tmp_path, session):
    stepped(session, 1)
    splats = session.stage.splats.gaussians()
    write_splats(tmp_path / "a.ply", splats)
    more = splats_of_file(tmp_path / "a.ply", "exponential", 3, print)
    assert (more.shapes == 2).all() and more.degree == 3 and (more.harmonics[:, 4:] == 0).all()
    assert np.array_equal(more.harmonics[:, :4], splats.harmonics)
    discs = dataclasses.replace(splats, kind="surface")
    write_splats(tmp_path / "b.ply", discs)
    assert read_splats(tmp_path / "b.ply").kind == "surface"
    with pytest.raises(RecipeError, match="surface"):
        splats_of_file(tmp_path / "b.ply", "gaussian", 0, print)


def test_an_edit_without_splats_says_so(session):
    from engine.optimize.splat_edits import delete_splats

    with pytest.raises(GeometryError, match="no splats to edit"):
        delete_splats(session, 1, UPPER, True)
