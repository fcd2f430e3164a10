"""What the CPU does with triangle numbers that come from the GPU."""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import parallel_kernel
from engine.raster.numba_visibility import BAND_ROWS, bands_of


@parallel_kernel
def take_numbers(rows, ids):
    """Copy rows [H, >= W] uint32 to ids [H,W] int32; returns running sums of covered pixels per band of rows."""
    height, width = ids.shape
    bands = bands_of(height)
    covered = np.zeros(bands + 1, np.int64)
    for b in prange(bands):
        band = np.int64(b)
        count = 0
        for y in range(band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)):
            for x in range(width):
                number = rows[y, x]
                ids[y, x] = number
                count += number != 0
        covered[band + 1] = count
    for band in range(bands):
        covered[band + 1] += covered[band]
    return covered
