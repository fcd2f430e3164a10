"""One thread for torch, as in a session: its pool and numba's would fight for the same cores."""

import torch

torch.set_num_threads(1)
