"""Ctrl-C and SIGKILL: a run that was interrupted goes on and ends with the metrics of one that was not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.app.test_run import checkpoints, lasting, metrics_of
from tests.app.tiny import HULL_ONLY, MAIN, PATIENCE, TINY, before_step, flags, started, unrender, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")]


def position(project: Path) -> tuple[str, int]:
    """(stage, index) of the newest checkpoint."""
    values = json.loads(json.loads(checkpoints(project)[-1].read_text())["body"])["values"]
    return values["stage"], values["index"]


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
BETWEEN_FILES = f"""
import os, signal
from engine.optimize import checkpoint
write = checkpoint.write_atomically
def dying(path, data):
    if path.name == "checkpoint-000006.json":
        {KILL}
    return write(path, data)
checkpoint.write_atomically = dying
"""


# Checkpoints: after the hull, after 20 and 40 steps of the volume, ...; slow machines write one more now and then.
@pytest.mark.parametrize(
    "killed, number, where",
    [(before_step(33, KILL), 2, ("volume", 20)), (BETWEEN_FILES, 5, None)],
    ids=["in a step", "between the files of a checkpoint"],
)
def test_a_killed_run_ends_with_the_same_metrics(finished, capture, tmp_path, killed, number, where):
    project = tmp_path / "run"
    process = started("run", capture, "--out", project, *flags(TINY), first=killed)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == -signal.SIGKILL, said
    assert checkpoints(project)[-1].stem == f"checkpoint-{number:06d}" and where in (None, position(project))
    assert not (project / "metrics.json").exists()
    told = unrender("resume", project)
    assert told.code == 0, told.err
    assert lasting(project) == lasting(finished[0])
    records = [(stage["name"], stage["steps"]) for stage in metrics_of(project)["stages"]]
    assert records == [(stage["name"], stage["steps"]) for stage in metrics_of(finished[0])["stages"]]


def test_ctrl_c_writes_a_checkpoint_and_says_how_to_resume(capture, tmp_path):
    project = tmp_path / "run"
    late = {"stages": "hull,volume", "run.evaluate": "false", "run.checkpoint_seconds": 1000}
    pressed = before_step(7, "signal.raise_signal(signal.SIGINT)")
    process = started("run", capture, "--out", project, *flags({**TINY, **late}), first=pressed)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 130, said
    assert position(project) == ("volume", 8), "the step that was begun is ended"
    assert f"stopped at step 8; go on with: unrender resume {project}" in said
    told = unrender("resume", project, "--set", "volume.rays=256")
    assert told.code == 0 and f"resuming {project} at step 8" in told.out
    assert position(project) == ("", 0) and 'key = "volume.rays"' in (project / "project.toml").read_text()


def test_ctrl_c_while_photos_are_read_leaves_nothing(capture, tmp_path, monkeypatch):
    import engine.capture.capture

    def interrupted(self, index):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.capture.capture.Capture, "pixels", interrupted)
    monkeypatch.setattr(engine.capture.capture.Capture, "check_images", lambda self, progress: self.pixels(0))
    told = unrender("run", capture, "--out", tmp_path / "run")
    assert told.code == 130 and "before anything was written" in told.out and "same command again" in told.out
    assert not (tmp_path / "run").exists()


def test_ctrl_c_during_the_evaluation_says_how_to_resume(finished, copied, monkeypatch):
    import engine.optimize.evaluate

    def interrupted(*_):
        raise KeyboardInterrupt

    project = copied(finished[0])
    monkeypatch.setattr(engine.optimize.evaluate, "evaluate_session", interrupted)
    told = unrender("resume", project)
    assert told.code == 130 and f"unrender resume {project}" in told.out


def write_jobs(path: Path, *jobs: dict) -> Path:
    lines = []
    for job in jobs:
        lines += ["[[job]]", *(f"{key} = {json.dumps(value)}" for key, value in job.items())]
    path.write_text("\n".join(lines))
    return path


def options(given: dict) -> list[str]:
    return [f"{key}={value}" for key, value in given.items()]


def test_a_failing_job_does_not_stop_the_others(capture, inputs, tmp_path):
    small = {**{k: v for k, v in TINY.items() if k.split(".")[0] in ("mesh", "refine")}, "refine.steps": 2}
    jobs = write_jobs(
        inputs / "jobs.toml",
        {"name": "missing", "capture": "nowhere"},
        {"name": "ring", "capture": str(capture), "recipe": "refine", "set": ["refine.mesh=ring.obj", *options(small)]},
        {"name": "hull", "capture": str(capture), "set": options(HULL_ONLY)},
    )
    told = unrender("batch", jobs, "--out", tmp_path / "out")
    results = {result["name"]: result for result in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert told.code == 1 and {name: result["state"] for name, result in results.items()} == {
        "missing": "failed",
        "ring": "done",
        "hull": "done, not evaluated",
    }
    assert "nowhere" in results["missing"]["error"] and results["ring"]["psnr"] > 5 and results["ring"]["faces"] == 576
    assert told.out.count("job 2 of 3: ring") == 1
    written = (tmp_path / "out" / "ring" / "metrics.json").stat().st_mtime_ns
    mended = f'"missing"\nset = {json.dumps(options(HULL_ONLY))}'
    jobs.write_text(jobs.read_text().replace("nowhere", str(capture)).replace('"missing"', mended))
    told = unrender("batch", jobs, "--out", tmp_path / "out")
    assert told.code == 0 and "failed" not in (tmp_path / "out" / "results.json").read_text()
    assert (tmp_path / "out" / "ring" / "metrics.json").stat().st_mtime_ns == written, "what is done stays"


def test_an_interrupted_batch_goes_on(capture, tmp_path):
    late = {"stages": "hull,volume", "run.checkpoint_seconds": 0}
    jobs = write_jobs(
        tmp_path / "jobs.toml",
        {"name": "a", "capture": str(capture), "set": options(HULL_ONLY)},
        {"name": "b", "capture": str(capture), "set": options({**TINY, **HULL_ONLY, **late})},
    )
    here = tmp_path / "here"
    held = before_step(27, f"while not session._stop.wait(0.01): pathlib.Path({str(here)!r}).touch()")
    replaced = f"""
import app.batch
command = app.batch._command
def holding(*arguments):
    python, isolated, _module, _app, *rest = command(*arguments)
    return [python, isolated, "-c", {held + MAIN!r}, *rest]
app.batch._command = holding
"""
    process = started("batch", jobs, "--out", tmp_path / "out", first=replaced)
    wait_until(here.exists, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 130 and "stopped in job b" in said, said
    assert position(tmp_path / "out" / "b") == ("volume", 28)
    told = unrender("batch", jobs, "--out", tmp_path / "out")
    log = (tmp_path / "out" / "b.log").read_text()
    assert told.code == 0 and f"resuming {tmp_path / 'out' / 'b'} at step 28" in log


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no [[job]] table"),
        ("[[job]]", "job 1: capture is missing"),
        ('[[job]]\ncapture = "x"\nspeed = 3', "job 1: unknown key 'speed'"),
        ('[[job]]\ncapture = "x"\nset = ["refine.stepz=3"]', "did you mean 'refine.steps'"),
        ('[[job]]\ncapture = "x"\nname = "../x"', "cannot name a folder"),
        ('[[job]]\ncapture = "x"\n[[job]]\ncapture = "x"', "two jobs are called 'x'"),
        ("[[job", "cannot be read"),
    ],
)
def test_jobs_are_checked_before_the_first_starts(tmp_path, text, words):
    (tmp_path / "jobs.toml").write_text(text)
    told = unrender("batch", tmp_path / "jobs.toml", "--out", tmp_path / "out")
    assert told.code == 2 and words in told.err and "jobs.toml" in told.err and not (tmp_path / "out").exists()
