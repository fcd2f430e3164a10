"""What a run records about its process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

START = """
import time
from engine.optimize.process import started
print(started(), time.monotonic())
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that can exec")
def test_a_run_does_not_count_the_shell_that_it_replaced():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = ["sh", "-c", 'read go && exec "$0" -c "$1"', sys.executable, START]
    first = time.monotonic()
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        subprocess.run([sys.executable, "-c", "import numpy"], check=True)  # the shell's time goes by
        before = time.monotonic()
        began, ended = map(float, shell.communicate("go\n")[0].split())
    assert (first + before) / 2 < began < ended, "of the shell's time no more counts than that of its processor"
