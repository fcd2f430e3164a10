"""The command line in process, and options that make a run take seconds."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.__main__ import main

TINY = {
    "run.checkpoint_seconds": 0,
    "hull.resolution": 24,
    "volume.steps": 60,
    "volume.resolution": 24,
    "volume.rays": 512,
    "volume.image_size": 48,
    "stereo.image_size": 48,
    "stereo.resolution": 24,
    "shape.steps": 40,
    "shape.mask_steps": 10,
    "shape.resolution": 20,
    "mesh.faces": 600,
    "mesh.texture_size": 64,
    "mesh.occlusion_rays": 8,
    "refine.steps": 40,
}
HULL_ONLY = {"stages": "hull", "run.evaluate": "false", "hull.resolution": 16}
PATIENCE = 600  # seconds, only when something hangs: on a slow machine kernels may have to be compiled
MAIN = "import sys; from app.__main__ import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def flags(options: dict) -> list[str]:
    """`--set key=value` for each."""
    return [part for key, value in options.items() for part in ("--set", f"{key}={value}")]


def unrender(*arguments: object) -> Outcome:
    """One command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def _hear_interrupts() -> None:
    """A shell that starts the tests in the background has them, and so this process, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def before_step(step: int, deed: str) -> str:
    """Python for `started` that does `deed` before the step of that number of a run, on a machine of any speed."""
    return (
        "import os, pathlib, signal, time\n"
        "from engine.optimize.session import Session\n"
        "advance = Session._advance\n"
        "def watched(session):\n"
        f"    if session.total_step == {step}:\n"
        f"        {deed}\n"
        "    return advance(session)\n"
        "Session._advance = watched\n"
    )


def started(*arguments: object, cwd: Path | None = None, first: str = "") -> subprocess.Popen:
    """One command in a process of its own that runs the Python text `first` before; its output in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{first}\n{MAIN}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        preexec_fn=_hear_interrupts if os.name != "nt" else None,
    )


def wait_until(happened: Callable[[], object], process: subprocess.Popen) -> None:
    """Until that is true; fails when the process ends or all patience does first."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def content(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder and its bytes, to see that nothing changed; empty where it does not exist."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}
