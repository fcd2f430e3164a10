"""`unrender batch`: many captures and recipes, each in a process of its own; a failing job never stops the others."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.runs import STOPPED
from engine.errors import RecipeError
from engine.optimize.options import to_toml
from engine.optimize.recipe import load_recipe

COLUMNS = ("psnr", "hull_psnr", "ssim", "flip", "seconds", "faces")
JOB_KEYS = {"name", "capture", "recipe", "set"}
SKIPPING = ("--skip-bad-frames", 'set = ["capture.skip_bad_frames=true"]')  # of `run`, and of a job
ERROR_LENGTH = 100  # characters of an error in the table; the log has all of it


@dataclass(frozen=True)
class Job:
    """One line of the batch: a capture, a recipe, and what is changed in it."""

    name: str
    capture: Path
    recipe: str
    overrides: tuple[str, ...]
    evaluated: bool
    key: str  # changes with whatever the job's result depends on


def read_jobs(path: Path) -> list[Job]:
    """The [[job]] tables of a TOML file; RecipeError names the file, the job and the key that is wrong.

    Relative paths start at the file's folder. Every recipe and override is checked before the first job starts.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: the jobs cannot be read ({error}); write one [[job]] table per job") from error
    tables = data.get("job")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise RecipeError(f"{path}: there is no [[job]] table; write one per job with name and capture")
    jobs, home = [], path.absolute().parent
    for number, table in enumerate(tables, 1):
        where = f"{path}: job {number}"
        unknown = set(table) - JOB_KEYS
        if unknown:
            raise RecipeError(f"{where}: unknown key '{sorted(unknown)[0]}'; known are {', '.join(sorted(JOB_KEYS))}")
        if not isinstance(table.get("capture"), str):
            raise RecipeError(f"{where}: capture is missing; give the folder of the capture")
        capture = home / table["capture"]
        name = table.get("name", capture.name)
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
            raise RecipeError(f"{where}: name {name!r} cannot name a folder; use letters, digits, - and _")
        overrides = table.get("set", [])
        if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
            raise RecipeError(f'{where}: set must be a list of texts such as ["refine.steps=200"]')
        recipe = str(table.get("recipe", "object"))
        if recipe.endswith(".toml"):
            recipe = str(home / recipe)
        try:
            loaded = load_recipe(recipe, overrides)
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from None
        parts = json.dumps([str(capture.resolve()), to_toml(loaded), overrides])
        key = hashlib.sha256(parts.encode()).hexdigest()
        jobs.append(Job(name, capture, recipe, tuple(overrides), loaded.run.evaluate, key))
    names = [job.name for job in jobs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RecipeError(f"{path}: two jobs are called '{sorted(twice)[0]}'; give each a name of its own")
    return jobs


def _command(job: Job, folder: Path, device: str, overwrite: bool) -> list[str]:
    start = [sys.executable, "-P", "-m", "app"]  # -P: whatever lies in the jobs' folder is not imported
    if (folder / "project.toml").exists() and not overwrite:
        return [*start, "resume", str(folder), "--device", device]
    changes = [part for override in job.overrides for part in ("--set", override)]
    changes += ["--overwrite"] if overwrite else []
    return [*start, "run", str(job.capture), "--recipe", job.recipe, "--out", str(folder), "--device", device, *changes]


def _finish(command: list[str], log: Path, folder: Path) -> int:
    """Exit code of a job in a process of its own; Ctrl-C is passed on, so that it writes its checkpoint first."""
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=os.name != "nt"
        )
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)


def _run(job: Job, folder: Path, home: Path, device: str, say: Callable[[str], None]) -> dict:
    """The job's row, after running, resuming or skipping it.

    NAME.job.json says what `folder` was made from. Its `replaces` is the age of the project that an edited job is to
    replace, for a run that fails before it has: that project must not be resumed as if it were the edited job's.
    """
    project, metrics = folder / "project.toml", folder / "metrics.json"
    log, file = folder.parent / f"{job.name}.log", folder.parent / f"{job.name}.job.json"
    known, age = _read(file), project.stat().st_mtime_ns if project.exists() else None
    if age is not None and not known:
        error = f"{folder}: holds a project that no batch began; move it away or choose another --out"
        return {"name": job.name, "state": "failed", "error": error}
    same = known.get("key") == job.key
    overwrite = age is not None and (not same or known.get("replaces") == age)
    if same and known.get("state") == "done" and age is not None and (metrics.exists() or not job.evaluated):
        return _row(job, metrics)
    if overwrite:
        say(f"job {job.name} was edited since: running it again with --overwrite")
    record = {"key": job.key, "state": "begun", "replaces": age if overwrite else None}
    _write(file, record)
    code = _finish(_command(job, folder, device, overwrite), log, home)
    if code == STOPPED:
        raise KeyboardInterrupt
    if code:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        error = lines[-1].strip() if lines else f"exit code {code}"
        return {"name": job.name, "state": "failed", "error": error.replace(*SKIPPING)}
    _write(file, record | {"state": "done", "replaces": None})
    return _row(job, metrics)


def _row(job: Job, metrics: Path) -> dict:
    if not job.evaluated:
        return {"name": job.name, "state": "done, not evaluated"}
    values = _read(metrics)
    return {"name": job.name, "state": "done"} | {key: values.get(key) for key in COLUMNS}


def _read(path: Path) -> dict:
    """What a JSON file holds; empty when there is none or it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _write(path: Path, values: list | dict) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(values, indent=2), encoding="utf-8")
    os.replace(temporary, path)


def shortened(error: str) -> str:
    """The error in one line of at most ERROR_LENGTH characters."""
    line = " ".join(error.split())
    return line if len(line) <= ERROR_LENGTH else line[: ERROR_LENGTH - 3] + "..."


def table_of(results: list[dict]) -> Table:
    """The results so far, one row per job."""
    table = Table("job", "state", *COLUMNS)
    for result in results:
        numbers = [f"{result[key]:.4g}" if result.get(key) is not None else "" for key in COLUMNS]
        table.add_row(escape(result["name"]), escape(result["state"]), *numbers)
    return table


def batch(path: Path, out: Path, device: str) -> int:
    """Run every job of `path` into `out`; 1 when any failed.

    Jobs that are done stay, begun ones are resumed, edited ones are run again.
    """
    jobs, results, console = read_jobs(path), [], Console()

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs, 1):
        say(f"job {number} of {len(jobs)}: {job.name} (log in {out / job.name}.log)")
        try:
            results.append(_run(job, out / job.name, path.absolute().parent, device, say))
        except KeyboardInterrupt:
            say(f"stopped in job {job.name}; the same command goes on from there")
            return STOPPED
        _write(out / "results.json", results)
        console.print(table_of(results))
        if "error" in results[-1]:
            say(f"{shortened(results[-1]['error'])}; see {out / job.name}.log")
    return 1 if any(result["state"] == "failed" for result in results) else 0
