"""What a batch runs, resumes, runs again and skips, with the jobs' processes replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.batch import shortened
from tests.app.tiny import unrender


def write_jobs(path: Path, job: dict) -> Path:
    path.write_text("\n".join(["[[job]]", *(f"{key} = {json.dumps(value)}" for key, value in job.items())]))
    return path


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """The commands that a batch would start; each leaves a project with metrics, unless its capture is nowhere."""
    begun: list[list[str]] = []

    def finish(command, log, home):
        begun.append(command[4:])
        log.write_text(f"first\nerror: {'long ' * 40}\n")
        if "nowhere" in command[5]:
            return 1
        folder = Path(command[command.index("--out") + 1] if "--out" in command else command[5])
        folder.mkdir(exist_ok=True)
        if "--out" in command:
            (folder / "project.toml").write_text(" ".join(command))
        if "run.evaluate=false" not in command:
            (folder / "metrics.json").write_text('{"psnr": 30.5}')
        return 0

    monkeypatch.setattr("app.batch._finish", finish)
    return begun


def test_an_edited_job_is_run_again(tmp_path, commands):
    jobs, out = tmp_path / "jobs.toml", tmp_path / "out"

    def told(**job):
        commands.clear()
        write_jobs(jobs, {"name": "a", **job})
        return unrender("batch", jobs, "--out", out)

    assert told(capture="here").code == 0 and commands[0][0] == "run" and "--overwrite" not in commands[0]
    assert told(capture="here").code == 0 and not commands, "what is done stays"
    recipe = {"capture": "there", "recipe": "refine"}
    for edited in ({"capture": "there"}, {"capture": "there", "set": ["run.seed=1"]}, recipe):
        assert "edited" in told(**edited).out and commands[0][0] == "run" and "--overwrite" in commands[0]
        assert told(**edited).code == 0 and not commands
    failed = told(capture="nowhere")
    assert failed.code == 1 and "30.5" not in failed.out, "not the figures of what it was before"
    assert told(capture="nowhere").code == 1 and commands[0][0] == "run", "the older project is not resumed either"
    assert told(capture="here").code == 0 and "--overwrite" in commands[0]
    record = out / "a.job.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"state": "begun"}))
    assert told(capture="here").code == 0 and commands == [["resume", str(out / "a"), "--device", "auto"]]
    record.unlink()
    assert told(capture="here").code == 1 and not commands, "a project of another origin is left alone"


def test_a_job_that_is_not_evaluated_is_done_too(tmp_path, commands):
    jobs = write_jobs(tmp_path / "jobs.toml", {"name": "a", "capture": "here", "set": ["run.evaluate=false"]})
    for times in (1, 1):
        assert unrender("batch", jobs, "--out", tmp_path / "out").code == 0 and len(commands) == times
        assert json.loads((tmp_path / "out" / "results.json").read_text()) == [
            {"name": "a", "state": "done, not evaluated"}
        ]


def test_a_long_error_is_cut_and_its_log_named(tmp_path, commands):
    told = unrender("batch", write_jobs(tmp_path / "jobs.toml", {"capture": "nowhere"}), "--out", tmp_path / "out")
    assert told.code == 1 and f"...; see {tmp_path / 'out' / 'nowhere.log'}" in told.out
    assert sum("long long" in line for line in told.out.splitlines()) == 1, "not again in the table's narrow column"
    assert any("failed" in line for line in told.out.splitlines())
    assert len(shortened("two\nlines " * 40)) == 100 and "\n" not in shortened("two\nlines")


def test_a_job_is_told_its_own_way_to_skip_bad_frames(tmp_path, monkeypatch):
    def finish(command, log, home):
        log.write_text("error: cup: 1 of 9 frames cannot be used (--skip-bad-frames goes on without them): a.png\n")
        return 1

    monkeypatch.setattr("app.batch._finish", finish)
    assert unrender("batch", write_jobs(tmp_path / "j.toml", {"capture": "x"}), "--out", tmp_path / "out").code == 1
    error = json.loads((tmp_path / "out" / "results.json").read_text())[0]["error"]
    assert 'used (set = ["capture.skip_bad_frames=true"] goes on without them)' in error
