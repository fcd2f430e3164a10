"""Parameters that one pixel alone reads, such as the normal that it is shaded with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.raster.stochastic.credit import register

# The corners of a tetrahedron. A pixel's loss with three of its values moved to each tells their three slopes apart, as
# sums of sign times loss over 4 eps: what one value does cancels in the others' sums.
WAYS = np.float32([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


@register("pixels")
@dataclass(frozen=True)
class PixelCredit:
    """Credits pixel p of an image to parameter row p."""

    size: tuple[int, int]  # (height, width)

    @property
    def rows(self) -> int:
        """The number of pixels."""
        return self.size[0] * self.size[1]

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """See `credit.CreditRule.sums`."""
        return fixed.reshape(-1)

    def pixels(self, row: int) -> np.ndarray:
        """See `credit.CreditRule.pixels`."""
        return (np.arange(self.rows) == row).reshape(self.size)

    def support(self) -> Tensor:
        """See `credit.CreditRule.support`."""
        return torch.arange(self.rows)[:, None].repeat(1, 2)
