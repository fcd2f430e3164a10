"""Which splats each tile of the image blends, in the order of their depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from engine.kernels.settings import kernel, parallel_kernel
from engine.kernels.sort import sort_keys
from engine.splats.constants import TILE
from engine.splats.numba_project import REACH, A, B, C, X, Y

CHUNKS = 16
ZERO, ONE, SIDE = np.float32(0), np.float32(1), np.float32(TILE)
SLACK = np.float32(1.0001)  # for rounding


@dataclass(frozen=True)
class Tiles:
    """The splats of every tile, and where each splat stands in them."""

    columns: int
    rows: int
    starts: np.ndarray  # [T+1] int64 first place of each tile, row by row
    splats: np.ndarray  # [M] int32 the splat at each place, front to back within a tile
    order: np.ndarray  # [V] int32 the splats that are seen, front to back
    slots: np.ndarray  # [V+1] int64 first of each one's entries in `places`
    places: np.ndarray  # [S] int64 where each stands; -1: in none of the tiles


@kernel
def depth_order(depths, radii):
    """[V] int32 indices of what is seen, by depth, equal depths by index."""
    seen = 0
    for i in range(len(radii)):
        seen += radii[i] > 0
    order, depth = np.empty(seen, np.int32), np.empty(seen, np.float32)
    seen = 0
    for i in range(len(radii)):
        if radii[i] > 0:
            order[seen], depth[seen] = i, depths[i]
            seen += 1
    keys = depth.view(np.uint32)  # positive floats are ordered as their bits
    sort_keys(keys, order, np.empty(seen, np.uint32), np.empty(seen, np.int32))
    return order


@kernel
def least_distance(ellipse, column, row):
    """The least squared Mahalanobis distance of a tile's pixel centres from an ellipse's centre, or a little less."""
    left, top = column * SIDE + np.float32(0.5) - ellipse[X], row * SIDE + np.float32(0.5) - ellipse[Y]
    right, bottom = left + SIDE - ONE, top + SIDE - ONE
    if left <= ZERO <= right and top <= ZERO <= bottom:
        return ZERO
    a, b, c = ellipse[A], ellipse[B], ellipse[C]
    best = np.float32(np.inf)
    for edge in range(2):
        x = left if edge == 0 else right
        y = min(max(-a * b * x / (b * b + c * c), top), bottom)
        best = min(best, (a * x + b * y) ** 2 + (c * y) ** 2)
        y = top if edge == 0 else bottom
        x = min(max(-b * y / a, left), right)
        best = min(best, (a * x + b * y) ** 2 + (c * y) ** 2)
    return best


@parallel_kernel
def find(order, ellipses, bounds, slots, columns, tile_of, counts):
    """Fill `tile_of` [S], -1 where a tile's corner of the bounding box holds nothing, and `counts` [CHUNKS,T]."""
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
                    distance = least_distance(ellipses[splat], np.float32(column), np.float32(row))
                    if distance <= ellipses[splat, REACH] * SLACK:
                        tile_of[slot] = row * columns + column
                        counts[chunk, row * columns + column] += 1
                    slot += 1


@parallel_kernel
def fill(order, slots, tile_of, counts, splats, places):
    """Fill `splats` [M] and `places` [S]; `counts` [CHUNKS,T] holds each chunk's first place in each tile."""
    seen = len(order)
    step = (seen + CHUNKS - 1) // CHUNKS
    for index in numba.prange(CHUNKS):
        chunk = np.int64(index)
        for rank in range(chunk * step, min((chunk + 1) * step, seen)):
            for slot in range(slots[rank], slots[rank + 1]):
                tile = tile_of[slot]
                if tile < 0:
                    places[slot] = -1
                    continue
                place = counts[chunk, tile]
                counts[chunk, tile] = place + 1
                splats[place] = order[rank]
                places[slot] = place


def binned(
    shapes: Any,
    depths: np.ndarray,
    bounds: np.ndarray,
    radii: np.ndarray,
    width: int,
    height: int,
    find: Callable[..., None] = find,
) -> Tiles:
    """The tiles of an image for what `project` (numba_project.py) has filled.

    `shapes` is what `find` takes: by default ellipses [N,8].
    """
    columns, rows = -(-width // TILE), -(-height // TILE)
    order = depth_order(depths, radii)
    box = bounds[order].astype(np.int64)
    slots = np.zeros(len(order) + 1, np.int64)
    np.cumsum((box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2]), out=slots[1:])
    tile_of, counts = np.empty(slots[-1], np.int32), np.zeros((CHUNKS, columns * rows), np.int64)
    find(order, shapes, bounds, slots, columns, tile_of, counts)
    totals = counts.sum(0)
    starts = np.zeros(columns * rows + 1, np.int64)
    np.cumsum(totals, out=starts[1:])
    firsts = starts[:-1] + np.cumsum(counts, 0) - counts
    splats, places = np.empty(starts[-1], np.int32), np.empty(slots[-1], np.int64)
    fill(order, slots, tile_of, firsts, splats, places)
    return Tiles(columns, rows, starts, splats, order, slots, places)
