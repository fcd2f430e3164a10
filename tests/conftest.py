"""One thread for torch, as in a session: its pool and numba's would fight for the same cores.

Kernels that the cache lacks are compiled ahead in the order in which the tests ask for them.
"""

from pathlib import Path

import torch

from engine.kernels.compiling import COMPILER

torch.set_num_threads(1)
COMPILER.ahead.lists = [Path(__file__).with_name("ahead.json")]
