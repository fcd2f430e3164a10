"""`unrender batch`: many captures and recipes, each in a process of its own; a failing job never stops the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.runs import STOPPED
from engine.errors import RecipeError
from engine.optimize.recipe import load_recipe

COLUMNS = ("psnr", "hull_psnr", "ssim", "flip", "seconds", "faces")
JOB_KEYS = {"name", "capture", "recipe", "set"}


@dataclass(frozen=True)
class Job:
    """One line of the batch: a capture, a recipe, and what is changed in it."""

    name: str
    capture: Path
    recipe: str
    overrides: tuple[str, ...]


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
            load_recipe(recipe, overrides)
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from None
        jobs.append(Job(name, capture, recipe, tuple(overrides)))
    names = [job.name for job in jobs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RecipeError(f"{path}: two jobs are called '{sorted(twice)[0]}'; give each a name of its own")
    return jobs


def _command(job: Job, folder: Path, device: str) -> list[str]:
    start = [sys.executable, "-P", "-m", "app"]  # -P: whatever lies in the jobs' folder is not imported
    if (folder / "project.toml").exists():
        return [*start, "resume", str(folder), "--device", device]
    changes = [part for override in job.overrides for part in ("--set", override)]
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


def _run(job: Job, folder: Path, home: Path, device: str) -> dict:
    metrics, log = folder / "metrics.json", folder.parent / f"{job.name}.log"
    if not metrics.exists():
        code = _finish(_command(job, folder, device), log, home)
        if code == STOPPED:
            raise KeyboardInterrupt
        if code:
            lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
            return {"name": job.name, "state": "failed", "error": lines[-1] if lines else f"exit code {code}"}
    values = json.loads(metrics.read_text(encoding="utf-8")) if metrics.exists() else {}
    return {"name": job.name, "state": "done"} | {key: values.get(key) for key in COLUMNS}


def _write(path: Path, results: list[dict]) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(results, indent=2), encoding="utf-8")
    os.replace(temporary, path)


def table_of(results: list[dict]) -> Table:
    """The results so far, one row per job."""
    table = Table("job", "state", *COLUMNS)
    for result in results:
        numbers = [f"{result[key]:.4g}" if result.get(key) is not None else "" for key in COLUMNS]
        table.add_row(escape(result["name"]), escape(result.get("error", result["state"])), *numbers)
    return table


def batch(path: Path, out: Path, device: str) -> int:
    """Run every job of `path` into `out`; jobs that are done stay, begun ones are resumed. 1 when any failed."""
    jobs, results, console = read_jobs(path), [], Console()
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs, 1):
        console.print(f"job {number} of {len(jobs)}: {job.name} (log in {out / job.name}.log)", markup=False)
        try:
            results.append(_run(job, out / job.name, path.absolute().parent, device))
        except KeyboardInterrupt:
            console.print(f"stopped in job {job.name}; the same command goes on from there", markup=False)
            return STOPPED
        _write(out / "results.json", results)
        console.print(table_of(results))
    return 1 if any(result["state"] == "failed" for result in results) else 0
