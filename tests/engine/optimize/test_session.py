"""A run ends the same whatever interrupts it: stopping, killing, NaN, a full memory, a command."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
import torch

from engine.errors import CaptureError, GeometryError, ProjectError, RecipeError
from engine.optimize import process
from engine.optimize.messages import (
    ExcludeView,
    Failed,
    Notice,
    Pause,
    Progress,
    SetOption,
    StageChanged,
    StepReport,
    Stop,
)
from engine.optimize.replaced import kept_aside
from engine.optimize.session import Session
from engine.optimize.views import ViewSet
from tests.app.tiny import content
from tests.engine.optimize.small_run import (
    SmallCapture,
    SmallRecipe,
    StartStage,
    create,
    reopen,
    result,
    small_recipe,
    uninterrupted,
)

ROOT = Path(__file__).resolve().parents[3]


def test_a_run_goes_through_all_stages_and_says_so(tmp_path):
    heard = []
    with create(tmp_path / "a", steps=30) as session:
        assert session.run(heard.append)
        assert [record["name"] for record in session.stage_records] == ["test-start", "draw", "test-late"]
        assert session.total_step == session.total_steps == 30
        assert len(session.context.views._cache) == 0  # what a stage had is not held for those after it
    changes = [(m.stage, m.state) for m in heard if isinstance(m, StageChanged)]
    assert changes[:3] == [("test-start", "begin"), ("test-start", "finish"), ("test-start", "done")]
    reports = [m for m in heard if isinstance(m, StepReport)]
    assert len(reports) == 32 and reports[-1].total_step == 30
    log = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert {"StageChanged"} <= {line["kind"] for line in log}


def test_a_stage_begins_without_what_was_kept_to_show_the_one_before(tmp_path):
    with create(tmp_path / "a", steps=30) as session:
        session.step()
        assert session.stage_name == "draw" and session.stage is None
        session.context.kept["scene"] = object()
        session.step()
        assert session.stage is not None and not session.context.kept
        session.context.kept["slot"] = kept = object()
        session.step()
        assert session.context.kept == {"slot": kept}


def test_stopping_and_resuming_gives_the_same_bits(tmp_path):
    expected = uninterrupted(tmp_path / "a", steps=60)
    for step in (0, 1, 20, 37, 60):
        folder = tmp_path / f"stopped{step}"
        with create(folder, steps=60) as session:
            assert not session.run(until=step) or step == 60
        with reopen(folder) as session:
            assert session.total_step == step
            assert session.run()
            assert torch.equal(result(session), expected)


def test_stepping_equals_running(tmp_path):
    expected = uninterrupted(tmp_path / "a", steps=30)
    with create(tmp_path / "b", steps=30) as session:
        while not session.finished:
            session.step()
        assert torch.equal(result(session), expected)
        with pytest.raises(ProjectError, match="complete"):
            session.step()


@pytest.mark.slow
def test_killing_and_resuming_gives_the_same_bits(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = str(ROOT / "tests/engine/optimize/small_run.py")

    def run(folder: str, *death: str) -> tuple[int, list[str]]:
        command = [sys.executable, script, str(tmp_path / folder), "400", *death]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
        return ended.returncode, ended.stdout.splitlines()

    def steps(lines: list[str]) -> list[int]:
        return [int(line.split()[1]) for line in lines if line.startswith("StepReport")]

    _, (*_, expected) = run("whole")
    assert expected.startswith("result")
    code, lines = run("killed", "333")
    assert code == -signal.SIGKILL and steps(lines)[-1] == 333
    code, lines = run("killed")
    assert code == 0 and steps(lines)[0] == 321, "it went on from the checkpoint after step 320"
    assert lines[-1] == expected


def test_non_finite_values_step_back_and_halve_the_rate(tmp_path):
    heard = []
    with create(tmp_path / "a", steps=60, poison=33) as session:
        session.run(heard.append)
        assert torch.isfinite(result(session)).all()
        entries = [e for e in session.project.history if e.kind == "learning_rate"]
    assert [e.value for e in entries] == [0.5, 0.25]
    notices = [m.text for m in heard if isinstance(m, Notice)]
    assert "went back to step 20" in notices[0]


def test_non_finite_values_and_a_stop_still_give_the_same_bits(tmp_path):
    expected = uninterrupted(tmp_path / "a", steps=60, poison=33)
    with create(tmp_path / "b", steps=60, poison=33) as session:
        session.run(until=50)
    with reopen(tmp_path / "b") as session:
        session.run()
        assert torch.equal(result(session), expected)


def test_values_that_stay_non_finite_end_the_run_with_one_sentence(tmp_path, monkeypatch):
    heard = []
    with create(tmp_path / "a", steps=60) as session:
        session.run(until=20)
        monkeypatch.setattr(session.stage, "step", lambda index: {"loss": float("nan")})
        with pytest.raises(GeometryError, match="stay non-finite"):
            session.run(heard.append)
    assert isinstance(heard[-1], Failed)


def test_out_of_memory_lowers_the_batch(tmp_path):
    heard = []
    with create(tmp_path / "a", steps=25, hunger=1) as session:
        session.run(heard.append)
        assert session.recipe.draw.batch == 1
        assert [e.value for e in session.project.history if e.kind == "memory"] == [2, 1]
    assert any("out of memory" in m.text for m in heard if isinstance(m, Notice))
    expected = uninterrupted(tmp_path / "b", steps=25, batch=1)
    assert torch.equal(result(session), expected)


def test_commands_are_applied_between_steps_and_survive_a_kill(tmp_path):
    def change(session: Session) -> None:
        session.run(until=20)
        session.queue(SetOption("draw.learning_rate", 0.2))
        session.queue(ExcludeView(3))
        session.run(until=30)

    with create(tmp_path / "a", steps=40) as session:
        change(session)
        session.run()
        expected = result(session)
        kinds = [(e.kind, e.total_step) for e in session.project.history]
    assert kinds == [("set", 20), ("exclude", 20)]
    with create(tmp_path / "b", steps=40) as session:
        session.run(until=20)  # the last checkpoint
        before = sorted((tmp_path / "b" / "checkpoints").iterdir())
        kept = {path: path.read_bytes() for path in before}
        change(session)
    for path in (tmp_path / "b" / "checkpoints").iterdir():  # as if it had been killed before the next checkpoint
        path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
    with reopen(tmp_path / "b") as session:
        assert session.total_step == 20
        session.run()
        assert torch.equal(result(session), expected)
        assert session.recipe.draw.learning_rate == 0.2


def test_commands_that_cannot_be_followed_become_notices(tmp_path):
    heard = []
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=3)
        session.queue(SetOption("draw.steps", 5))
        session.queue(SetOption("draw.learning_rat", 5))
        session.queue(SetOption("draw.learning_rate", -1))
        session.queue(ExcludeView(2))
        session.run(heard.append, until=4)
    notices = [m.text for m in heard if isinstance(m, Notice)]
    assert len(notices) == 4
    assert "cannot change" in notices[0] and "did you mean 'draw.learning_rate'" in notices[1]
    assert "at least 0" in notices[2] and "not a training photo" in notices[3]


def test_pause_and_stop(tmp_path):
    with create(tmp_path / "a", steps=40) as session:
        session.queue(Pause())
        session.queue(Pause(False))
        assert not session.run(until=5)
        session.queue(Stop())
        assert not session.run()
        assert session.total_step == 5
        session.request_stop()
        assert not session.run()


def test_stopping_in_work_without_steps_starts_it_over(tmp_path):
    expected = uninterrupted(tmp_path / "a", steps=5)
    with create(tmp_path / "b", steps=5) as session:
        assert not session.run(lambda m: session.request_stop() if type(m).__name__ == "Progress" else None)
        assert session.stage_index == 0
        session.on_message = None
        assert session.run()
        assert torch.equal(result(session), expected)


def test_resume_without_a_checkpoint_starts_over(tmp_path):
    expected = uninterrupted(tmp_path / "a", steps=5)
    create(tmp_path / "b", steps=5).close()
    with reopen(tmp_path / "b") as session:
        session.run()
        assert torch.equal(result(session), expected)


def test_overrides_on_resume(tmp_path):
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=10)
    with pytest.raises(RecipeError, match="cannot change"):
        reopen(tmp_path / "a", "draw.steps=50")
    with pytest.raises(RecipeError, match="key=value"):
        reopen(tmp_path / "a", "draw.steps")
    project = tmp_path / "a" / "project.toml"
    before = project.read_text().count("[[history]]")
    for refused, said in (("draw.batch=0", "draw.batch"), ("draw.bach=2", "did you mean 'draw.batch'")):
        with pytest.raises(RecipeError, match=said):
            reopen(tmp_path / "a", "draw.learning_rate=0.5", refused)
    assert project.read_text().count("[[history]]") == before, "all is set or nothing"
    with reopen(tmp_path / "a", "draw.learning_rate=0.5") as session:
        assert session.recipe.draw.learning_rate == 0.5
    with reopen(tmp_path / "a") as session:  # no checkpoint was written in between: it is not forgotten
        session.run(until=11)
        assert session.recipe.draw.learning_rate == 0.5


def test_wrong_overrides_are_told_before_photos_are_read(tmp_path, monkeypatch):
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=10)
    monkeypatch.setattr(SmallCapture, "check_images", lambda self, progress=None: pytest.fail("photos were read"))
    for text in ("draw.bach=2", "draw.batch=0", "draw.steps=50"):
        with pytest.raises(RecipeError):
            reopen(tmp_path / "a", text)


def test_a_damaged_truth_is_told_before_photos_are_read(tmp_path, monkeypatch):
    (tmp_path / "photos" / "truth").mkdir(parents=True)
    (tmp_path / "photos" / "truth" / "truth.json").write_text("{")
    monkeypatch.setattr(SmallCapture, "check_images", lambda self, progress=None: pytest.fail("photos were read"))
    recipe = SmallRecipe()
    recipe.run.evaluate = True
    with pytest.raises(CaptureError, match=r"truth\.json: cannot be read"):
        Session.create(SmallCapture(str(tmp_path / "photos")), recipe, tmp_path / "a", device="cpu")
    assert not (tmp_path / "a").exists()


def test_a_changed_capture_is_refused_and_the_lock_released(tmp_path, monkeypatch):
    create(tmp_path / "a").close()
    capture = SmallCapture()
    monkeypatch.setattr(capture, "fingerprint", lambda: "other")
    with pytest.raises(ProjectError, match="changed since"):
        Session.open(tmp_path / "a", SmallRecipe, device="cpu", capture=capture)
    reopen(tmp_path / "a").close()


def test_a_different_thread_count_is_said_on_resume(tmp_path, monkeypatch):
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=10)
    heard = []
    monkeypatch.setattr(process, "thread_counts", lambda: {"torch": 1, "numba": 1000})
    with reopen(tmp_path / "a") as session:
        session.run(heard.append, until=11)
    assert any("threads were" in m.text for m in heard if isinstance(m, Notice))


def test_seconds_add_up_over_resumes(tmp_path):
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=10)
        first = session.seconds
    with reopen(tmp_path / "a") as session:
        assert session.seconds > first
        assert session.peak_memory_mb > 10


def test_seconds_of_a_process_killed_before_its_first_step_count(tmp_path, monkeypatch):
    def begun(make, *given):
        since = time.monotonic() - 100
        make(*given, since=since).close()

    begun(Session.create, SmallCapture(), small_recipe(), tmp_path / "a", "cpu")
    begun(Session.open, tmp_path / "a", SmallRecipe, (), "cpu", SmallCapture())
    monkeypatch.setattr("engine.optimize.session.LOG_SECONDS", -1.0)
    with reopen(tmp_path / "a") as session:
        assert session.seconds >= 200 and not session.total_step
        session.notify(Progress("draw", 0.5))
        assert json.loads((tmp_path / "a" / "log.jsonl").read_text().splitlines()[-1])["kind"] == "Progress"


def test_an_unknown_stage_is_refused_before_anything_is_written(tmp_path):
    recipe = small_recipe()
    recipe.stages = ("hulk",)
    with pytest.raises(RecipeError, match="hulk"):
        Session.create(SmallCapture(), recipe, tmp_path / "a", device="cpu")
    assert not (tmp_path / "a").exists()


def failing(self) -> None:
    raise GeometryError("the surface is empty")


@pytest.mark.parametrize("there", [False, True], ids=["new", "overwrite"])
def test_a_run_that_fails_at_once_leaves_its_folder_as_it_was(tmp_path, monkeypatch, there):
    if there:
        uninterrupted(tmp_path / "a", steps=3)
    before = content(tmp_path)
    monkeypatch.setattr(StartStage, "finish", failing)
    with pytest.raises(GeometryError):
        with Session.create(SmallCapture(), small_recipe(), tmp_path / "a", "cpu", overwrite=there) as session:
            session.run()
    assert content(tmp_path) == before
    monkeypatch.undo()
    monkeypatch.setattr(ViewSet, "__init__", lambda self, *_: failing(self))  # while the session is made
    with pytest.raises(GeometryError):
        Session.create(SmallCapture(), small_recipe(), tmp_path / "a", "cpu", overwrite=there)
    assert content(tmp_path) == before


def test_an_overwritten_run_goes_once_a_stage_of_the_new_one_is_saved(tmp_path):
    uninterrupted(tmp_path / "a", steps=3)
    with Session.create(SmallCapture(), small_recipe(steps=3), tmp_path / "a", "cpu", overwrite=True) as session:
        assert kept_aside(tmp_path / "a")
        session.step()  # the first stage
        assert not kept_aside(tmp_path / "a")
    with pytest.raises(GeometryError), reopen(tmp_path / "a") as session:
        failing(session)
    with reopen(tmp_path / "a") as session:
        assert session.run(), "a run that has a result stays, whatever fails"


def test_a_run_stopped_in_its_first_stage_is_resumed_and_then_replaces(tmp_path):
    uninterrupted(tmp_path / "a", steps=3)
    Session.create(SmallCapture(), small_recipe(steps=3), tmp_path / "a", "cpu", overwrite=True).close()
    assert kept_aside(tmp_path / "a")
    with reopen(tmp_path / "a") as session:
        assert session.run() and not kept_aside(tmp_path / "a")


def test_a_closed_session_dies_at_once_with_its_photos_and_scene(tmp_path):
    for name in ("warm", "a"):  # what the first run imports may keep its frames for a while
        session = create(tmp_path / name, steps=3)
        session.listen(lambda message: None)
        assert session.run()
        session.snapshot_now()
        kept = [weakref.ref(part) for part in (session, session.context.scene, session.capture)]
        collecting = gc.isenabled()
        gc.disable()  # a window has the collector look at old objects seldom
        try:
            session.close()
            del session
            alive = [part() for part in kept]
        finally:
            if collecting:
                gc.enable()
    assert alive == [None, None, None]
