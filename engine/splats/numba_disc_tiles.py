"""Which discs each tile of the image blends."""

from __future__ import annotations

import math

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.splats.numba_disc_project import D0, DX, DY, UX, UY, VX, VY
from engine.splats.numba_project import REACH, A, X, Y
from engine.splats.numba_tiles import CHUNKS, ONE, SIDE, SLACK, ZERO, least_distance

HALF = np.float32(0.5)
RADIUS = np.float32(7.5 * math.sqrt(2))  # pixels from a tile's centre to its farthest pixel's


@kernel
def reaches(disc, ellipse, column, row):
    """Whether a disc or its screen filter reaches one of a tile's pixel centres; sometimes also where neither does."""
    reach = ellipse[REACH] * SLACK
    left, top = column * SIDE + HALF - disc[X], row * SIDE + HALF - disc[Y]
    x, y = max(left, ZERO, ONE - SIDE - left), max(top, ZERO, ONE - SIDE - top)
    if x * x + y * y <= HALF * reach:
        return True
    if ellipse[A] > ZERO:
        return least_distance(ellipse, column, row) <= reach
    # Not bounded by an ellipse: |(U, V)| less the root of reach times D is convex, and changes no faster than `rate`.
    x, y, root = left + HALF * (SIDE - ONE), top + HALF * (SIDE - ONE), np.float32(math.sqrt(reach))
    u, v = disc[UX] * x + disc[UY] * y, disc[VX] * x + disc[VY] * y
    least = math.sqrt(u * u + v * v) - root * abs(disc[D0] + disc[DX] * x + disc[DY] * y)
    rate = math.sqrt(disc[UX] ** 2 + disc[UY] ** 2 + disc[VX] ** 2 + disc[VY] ** 2)
    rate += root * math.sqrt(disc[DX] ** 2 + disc[DY] ** 2)
    return least <= rate * RADIUS * SLACK


@parallel_kernel
def find_discs(order, shapes, bounds, slots, columns, tile_of, counts):
    """`find` (numba_tiles.py) for `shapes`: discs [N,15] and the ellipses [N,8] that bound them on the image."""
    discs, ellipses = shapes
    seen = len(order)
    step = (seen + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        for rank in range(chunk * step, min((chunk + 1) * step, seen)):
            splat = order[rank]
            slot = slots[rank]
            for row in range(bounds[splat, 2], bounds[splat, 3]):
                for column in range(bounds[splat, 0], bounds[splat, 1]):
                    tile_of[slot] = -1
                    if reaches(discs[splat], ellipses[splat], np.float32(column), np.float32(row)):
                        tile_of[slot] = row * columns + column
                        counts[chunk, row * columns + column] += 1
                    slot += 1
