"""The counter-based generator of random signs: the same bits in NumPy, in numba and in WGSL, in any order of asking.

A key is made of the run's seed, the step and the group of parameters; component k of row i of a group with C components
has the index C i + k. The hash is lowbias32 (Wellons, 2018). One step's signs of one group are thus a pure function of
four integers: nothing is stored, and a step can be repeated at another point with the same signs.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from engine.kernels.settings import kernel, parallel_kernel

# Groups of parameters, so that no two share their signs; 7 and above are free.
VERTICES, BASE_COLOR, ROUGHNESS_METALLIC, NORMAL_MAP, ENVIRONMENT, CAMERA_POSE, DISPLACEMENT = range(7)

BLOCK = 4096  # rows of one turn of a parallel loop


@kernel
def lowbias32(x):
    """A uint32 hashed to a uint32; a bijection."""
    x = np.uint32(x)
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@kernel
def sign_at(key, index):
    """+1 or -1 (float32) of the parameter `index` under `key`."""
    return np.float32(-1.0) if lowbias32(np.uint32(index) ^ np.uint32(key)) & np.uint32(0x80000000) else np.float32(1.0)


@parallel_kernel
def _fill(key, signs):
    rows, components = signs.shape
    for block in prange((rows + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        for i in range(low, min(low + BLOCK, rows)):
            for k in range(components):
                signs[i, k] = sign_at(key, components * i + k)


@parallel_kernel
def perturb(values, step, key, plus, minus):
    """plus, minus [N,C] = values [N,C] +- step [N or 1,C or 1] times the signs of `key`."""
    rows, components = values.shape
    by_row, by_component = step.shape[0] > 1, step.shape[1] > 1
    for block in prange((rows + BLOCK - 1) // BLOCK):
        low = np.int64(block) * BLOCK
        for i in range(low, min(low + BLOCK, rows)):
            for k in range(components):
                size = step[i if by_row else 0, k if by_component else 0]
                moved = sign_at(key, components * i + k) * size
                plus[i, k] = values[i, k] + moved
                minus[i, k] = values[i, k] - moved


def _hashed(x: int) -> int:
    """`lowbias32` of a Python integer, which is taken modulo 2^32."""
    x &= 0xFFFFFFFF
    x ^= x >> 16
    x = x * 0x7FEB352D & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def sign_key(seed: int, step: int, group: int) -> int:
    """The uint32 key of one group's signs in one step."""
    return _hashed(group ^ _hashed(step ^ _hashed(seed)))


def signs(key: int, rows: int, components: int) -> np.ndarray:
    """[rows, components] float32 of +1 and -1."""
    out = np.empty((rows, components), np.float32)
    _fill(np.uint32(key), out)
    return out
