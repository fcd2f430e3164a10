"""What a step frees is there for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

PAGES = 2048  # of an 8 MB array
ROUNDS = 20
SOURCE = f"""
import resource
import numpy as np
from engine.kernels.memory import keep_freed_memory

keep_freed_memory()
for round in range({ROUNDS}):
    arrays = [np.ones({PAGES} * 512) for _ in range(4)]
    del arrays
    if round == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other C libraries keep what they keep")
def test_freed_arrays_are_reused_without_new_pages():
    shown = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=True)
    assert int(shown.stdout) < PAGES
