"""A short game of the monkey (tests/tools/monkey.py) in a process of its own, on a tiny capture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.window.drawn_capture import RECIPE

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3])
def test_random_clicks_while_it_trains_raise_nothing_and_leave_no_thread(tiny_capture, seed):
    command = [sys.executable, "tests/tools/monkey.py", "--minutes", "0.1", "--events", "60", "--verbose"]
    command += ["--seed", f"{seed}", "--capture", str(tiny_capture)]
    command += [f"--set={key}={value}" for key, value in RECIPE.items()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["events"] == 60 and report["runs"] >= 1 and report["steps"] > 0
