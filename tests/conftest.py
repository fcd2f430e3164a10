"""One thread for torch, as in a session: its pool and numba's would fight for the same cores.

Kernels that the cache lacks are compiled ahead in the order in which the tests ask for them.
"""

from pathlib import Path

import pytest
import torch

from engine.kernels.ahead import entries
from engine.kernels.compiling import COMPILER
from engine.kernels.settings import cache_root

KERNELS = Path(__file__).with_name("ahead.json")

torch.set_num_threads(1)
COMPILER.ahead.lists = [KERNELS]


def pytest_configure(config: pytest.Config) -> None:
    """Where all tests are to be run, begin to compile while they are collected."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        COMPILER.ahead.start(cache_root(), *entries(KERNELS)[0][:2])
