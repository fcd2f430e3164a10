"""Scatter-add with the same bits whatever the thread count: chunk-private buffers, added up in order.

A kernel that scatters splits its items into `chunk_count(...)` contiguous chunks, lets each chunk add to a buffer of
its own, and calls `sum_chunks`. The number of chunks depends on sizes only, never on the threads of the machine.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

MAX_CHUNKS = 16
BUFFER_FLOATS = 4_000_000  # all buffers of one scatter together: 16 MB


def chunk_count(items: int, rows: int, columns: int) -> int:
    """How many private buffers of [rows, columns] to use for scattering `items` items."""
    by_memory = BUFFER_FLOATS // max(rows * columns, 1)
    by_work = items // 2048 + 1
    return int(max(1, min(MAX_CHUNKS, by_memory, by_work)))


@kernel
def chunk_bounds(chunk, chunks, items):
    """(first, past the last) item of `chunk`."""
    return chunk * items // chunks, (chunk + 1) * items // chunks


@parallel_kernel
def sum_chunks(buffers, out):
    """out [rows, columns] = the sum over buffers [chunks, rows, columns], in the order of the chunks."""
    chunks, rows, columns = buffers.shape
    flat = buffers.reshape(chunks, rows * columns)
    target = out.reshape(rows * columns)
    blocks = (rows * columns + 4095) // 4096
    for block in prange(blocks):
        low = np.int64(block) * 4096
        high = min(low + 4096, rows * columns)
        for i in range(low, high):
            target[i] = flat[0, i]
        for chunk in range(1, chunks):
            for i in range(low, high):
                target[i] += flat[chunk, i]


@parallel_kernel
def _scatter_rows(values, index, buffers):
    chunks = buffers.shape[0]
    for c in prange(chunks):
        chunk = np.int64(c)
        buffers[chunk] = 0
        low, high = chunk_bounds(chunk, chunks, index.shape[0])
        for i in range(low, high):
            row = index[i]
            for k in range(values.shape[1]):
                buffers[chunk, row, k] += values[i, k]


def scatter_add(values: np.ndarray, index: np.ndarray, rows: int) -> np.ndarray:
    """[rows,C]: the sum of `values` [N,C] over equal `index` [N] (0 <= index < rows); same bits on any thread count."""
    columns = values.shape[1]
    out = np.zeros((rows, columns), values.dtype)
    if len(index) and rows and columns:
        buffers = np.empty((chunk_count(len(index), rows, columns), rows, columns), values.dtype)
        _scatter_rows(values, index, buffers)
        sum_chunks(buffers, out)
    return out
