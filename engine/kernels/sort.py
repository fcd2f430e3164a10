"""Stable sorting of unsigned keys, and float bits as keys and numbers."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.kernels.settings import kernel

BITS = 11  # of a radix sort's digit: three passes over 32 bits
BUCKETS = 1 << BITS


@intrinsic
def float_of_bits(typing_context, bits):
    """The float32 whose bits are an int32's."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def bits_of_float(typing_context, number):
    """The bits of a float32 as an int32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@kernel
def sort_keys(keys, order, spare_keys, spare_order):
    """Sort `keys` [N] uint32 ascending in place and `order` [N] int32 along; equal keys stay in order; [N] spares."""
    count = len(keys)
    starts = np.zeros(BUCKETS, np.int64)
    for digit in range(3):
        shift = np.uint32(digit * BITS)
        starts[:] = 0
        for i in range(count):
            starts[(keys[i] >> shift) & np.uint32(BUCKETS - 1)] += 1
        total = 0
        for bucket in range(BUCKETS):
            here = starts[bucket]
            starts[bucket] = total
            total += here
        for i in range(count):
            bucket = (keys[i] >> shift) & np.uint32(BUCKETS - 1)
            place = starts[bucket]
            starts[bucket] = place + 1
            spare_keys[place] = keys[i]
            spare_order[place] = order[i]
        for i in range(count):
            keys[i] = spare_keys[i]
            order[i] = spare_order[i]
