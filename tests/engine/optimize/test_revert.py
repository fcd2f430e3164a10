"""Going back to a checkpoint in place: the same bits as if the run had never left it, and a history that says so."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from engine.errors import ProjectError
from engine.optimize.extra_losses import add_loss
from engine.optimize.history import effective
from engine.optimize.messages import ExcludeView, Notice, SetOption, StageChanged
from engine.optimize.session import Session
from tests.engine.optimize import small_run
from tests.engine.optimize.small_run import reopen, result, uninterrupted

create = partial(small_run.create, checkpoint_seconds=1000.0)  # only where `run` returns and where a stage ends


def change_and_go_on(session: Session) -> None:
    session.queue(SetOption("draw.learning_rate", 0.4))
    session.queue(ExcludeView(0))
    session.run(until=50)


@pytest.mark.parametrize("step", [20, 33])
def test_going_back_undoes_everything(tmp_path, step):
    expected = uninterrupted(tmp_path / "a", steps=60)
    heard = []
    with create(tmp_path / "b", steps=60) as session:
        session.run(until=step)
        checkpoint = session.checkpoints()[-1]
        assert checkpoint.total_step == step and checkpoint.path.exists()
        change_and_go_on(session)
        session.on_message = heard.append
        future = session.call(lambda session: session.revert(checkpoint.path))
        session.serve()
        future.result(0)
        assert session.total_step == step
        assert session.recipe.draw.learning_rate == 0.05 and not session.context.views.excluded
        assert session.run()
        assert torch.equal(result(session), expected)
    assert any(isinstance(m, StageChanged) and m.state == "begin" for m in heard)
    notice = next(m for m in heard if isinstance(m, Notice))
    assert notice.details == {"reverted_to": step} and "from step 50" in notice.text
    log = [json.loads(line) for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in log]
    assert seconds == sorted(seconds)


def test_without_a_path_it_goes_to_the_newest_checkpoint(tmp_path):
    with create(tmp_path / "a", steps=60) as session:
        session.run(until=20)
        while session.total_step < 30:
            session.step()
        session.revert()
        assert (session.total_step, session.index, session.stage_name) == (20, 20, "draw")


def test_a_finished_run_goes_back_and_finishes_again(tmp_path):
    with create(tmp_path / "a", steps=30) as session:
        session.run(until=25)
        session.run()
        expected = result(session)
        session.revert(session.checkpoints()[0].path)
        assert not session.finished
        session.run()
        assert torch.equal(result(session), expected)
        assert [record["name"] for record in session.stage_records] == ["test-start", "draw", "test-late"]
        session.revert()
        assert session.finished and session.total_step == 30


def test_the_history_keeps_what_was_and_tells_what_counts(tmp_path):
    with create(tmp_path / "a", steps=60) as session:
        session.run(until=20)
        session.queue(SetOption("draw.batch", 2))
        session.run(until=30)
        session.queue(SetOption("draw.learning_rate", 0.4))
        session.run(until=40)
        ahead = session.checkpoints()[-1].path
        session.revert(session.checkpoints()[0].path)
        session.queue(SetOption("draw.learning_rate", 0.2))
        session.run(until=45)
        history = session.project.history
        assert [e.kind for e in history] == ["set", "set", "revert", "set"]
        assert [(e.kind, e.value) for e in effective(history)] == [("set", 2), ("revert", 1), ("set", 0.2)]
        assert session.recipe.draw.batch == 2
        with pytest.raises(ProjectError, match="no longer there"):
            session.revert(ahead)  # only the last two are kept
        assert session.total_step == 45


def test_a_run_killed_after_going_back_resumes_on_its_new_line(tmp_path):
    with create(tmp_path / "a", steps=60) as session:
        session.run(until=20)
        change_and_go_on(session)
        session.revert(session.checkpoints()[0].path)
        while session.total_step < 30:
            session.step()
        session.queue(SetOption("draw.batch", 2))
        while session.total_step < 35:
            session.step()
    with reopen(tmp_path / "a") as session:
        assert session.total_step == 20
        session.run()
        resumed = result(session)
    with create(tmp_path / "b", steps=60) as session:
        session.run(until=30)
        session.queue(SetOption("draw.batch", 2))
        session.run()
        assert torch.equal(result(session), resumed)


def test_if_the_new_line_has_no_checkpoint_the_old_one_goes_on_without_the_new_changes(tmp_path):
    with create(tmp_path / "a", steps=60) as session:
        session.run(until=20)
        change_and_go_on(session)
        kept = {path: path.read_bytes() for path in session.project.checkpoints.iterdir()}
        session.revert(session.checkpoints()[0].path)
        session.queue(SetOption("draw.batch", 2))
        session.step()
        for path in session.project.checkpoints.iterdir():
            path.unlink()
        for path, data in kept.items():
            path.write_bytes(data)
    with reopen(tmp_path / "a") as session:
        assert session.total_step == 50
        session.run()
        assert session.recipe.draw.batch == 4
        assert [e.kind for e in effective(session.project.history)] == ["set", "exclude", "revert", "resume"]


def test_losses_added_since_no_longer_count(tmp_path):
    with create(tmp_path / "a", steps=60) as session:
        add_loss(session, "early", lambda image, photo: image.mean(), 1.0)
        session.run(until=20)
        add_loss(session, "late", lambda image, photo: image.mean(), 1.0)
        session.step()
        session.revert()
        assert session.context.extra_losses.names == ("early",)


def test_a_checkpoint_that_cannot_be_read_changes_nothing(tmp_path):
    with create(tmp_path / "a", steps=60) as session:
        with pytest.raises(ProjectError, match="no checkpoint yet"):
            session.revert()
        session.run(until=20)
        with pytest.raises(ProjectError, match="of this project"):
            session.revert(tmp_path / "checkpoint-000001.json")
        path = session.checkpoints()[-1].path
        path.with_suffix(".safetensors").write_bytes(b"short")
        with pytest.raises(ProjectError, match="truncated"):
            session.revert(path)
        with pytest.raises(ProjectError, match="no longer there"):
            session.revert(path.with_name("checkpoint-999999.json"))
        assert session.total_step == 20 and session.run()
