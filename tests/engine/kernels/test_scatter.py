"""The deterministic scatter-add: right sums, and the same bits whatever the thread count."""

import numba
import numpy as np
import pytest

from engine.kernels.scatter import chunk_count, scatter_add


def test_scatter_add_sums_rows_of_equal_index():
    rng = np.random.default_rng(0)
    values, index = rng.normal(size=(5000, 3)), rng.integers(0, 40, 5000)
    expected = np.stack([np.bincount(index, values[:, c], 40) for c in range(3)], 1)
    np.testing.assert_allclose(scatter_add(values, index, 40), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_scatter_add_of_nothing_is_zero(shape):
    out = scatter_add(np.zeros(shape, np.float32), np.zeros(shape[0], np.int64), 7)
    assert out.shape == (7, shape[1]) and not out.any()


def test_scatter_add_has_the_same_bits_on_any_thread_count():
    rng = np.random.default_rng(1)
    values, index = rng.normal(size=(50_000, 4)).astype(np.float32), rng.integers(0, 99, 50_000)
    most = numba.get_num_threads()
    many = scatter_add(values, index, 99)
    try:
        numba.set_num_threads(1)
        one = scatter_add(values, index, 99)
    finally:
        numba.set_num_threads(most)
    assert many.tobytes() == one.tobytes()


def test_chunks_stay_within_their_memory():
    assert chunk_count(10**6, 10**6, 8) == 1
    assert 1 <= chunk_count(10, 10, 3) <= chunk_count(10**6, 10, 3) <= 16
