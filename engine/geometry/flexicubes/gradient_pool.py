"""Dense gradients that are mostly zero, given out again instead of being allocated and cleared at every step."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class _Buffer:
    values: np.ndarray
    rows: np.ndarray  # the only ones that may differ from zero


class GradientPool:
    """Zeroed float32 tensors of which a caller fills few rows.

    A buffer is given out again once nobody but the pool refers to its memory: a tensor made from it, and every view of
    that tensor, holds a reference to the array. Then only the rows filled before are cleared. So nothing that a caller
    keeps is ever overwritten, and the page faults of a fresh dense gradient (a third of a backward pass) are paid once.
    """

    def __init__(self):
        self._buffers: list[_Buffer] = []

    def zeros(self, shape: tuple[int, ...], rows: np.ndarray) -> Tensor:
        """A tensor of zeros in which the caller will change only `rows` of the first axis."""
        for buffer in self._buffers:
            if buffer.values.shape == shape and sys.getrefcount(buffer.values) <= 2:  # the pool's and the call's own
                buffer.values[buffer.rows] = 0
                buffer.rows = rows
                return torch.from_numpy(buffer.values)
        self._buffers = [b for b in self._buffers if b.values.shape != shape]  # whoever still holds those keeps them
        self._buffers.append(_Buffer(np.zeros(shape, np.float32), rows))
        return torch.from_numpy(self._buffers[-1].values)

    def __deepcopy__(self, memo) -> GradientPool:
        return GradientPool()

    def __reduce__(self):
        return GradientPool, ()
