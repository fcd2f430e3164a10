"""Eight pixels of a row at a time, in vector registers: LLVM leaves the plain loop over them scalar."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.kernels.settings import kernel

LANES = 8


def _splat(builder, value):
    vector = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    vector = builder.insert_element(vector, value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(vector, vector, zeros)


def _ramp(builder, start, step):
    """start, start + step, ..., one per lane."""
    if isinstance(start.type, ir.IntType):
        steps = ir.Constant(ir.VectorType(start.type, LANES), list(range(LANES)))
        return builder.add(_splat(builder, start), builder.mul(_splat(builder, step), steps))
    steps = ir.Constant(ir.VectorType(start.type, LANES), [float(lane) for lane in range(LANES)])
    scaled = builder.fmul(_splat(builder, step), steps, flags=("contract",))
    return builder.fadd(_splat(builder, start), scaled, flags=("contract",))


@intrinsic
def _raise_keys(typingctx, keys, at, weights, along, depth, depth_along, low):
    signature = types.void(keys, types.int64, weights, along, types.float64, types.float64, types.int64)

    def build(context, builder, signature, arguments):
        keys, at, weights, along, depth, depth_along, low = arguments
        long, short = ir.VectorType(ir.IntType(64), LANES), ir.VectorType(ir.IntType(32), LANES)
        outside = None
        for edge in range(3):
            lanes = _ramp(builder, builder.extract_value(weights, edge), builder.extract_value(along, edge))
            outside = lanes if outside is None else builder.or_(outside, lanes)
        inside = builder.icmp_signed(">=", outside, ir.Constant(outside.type, [0] * LANES))
        single = builder.fptrunc(_ramp(builder, depth, depth_along), ir.VectorType(ir.FloatType(), LANES))
        high = builder.shl(builder.sext(builder.bitcast(single, short), long), ir.Constant(long, [32] * LANES))
        new = builder.select(inside, builder.or_(high, _splat(builder, low)), ir.Constant(long, [0] * LANES))
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, keys).data
        place = builder.bitcast(builder.gep(data, [at]), long.as_pointer())
        old = builder.load(place, align=8)
        builder.store(builder.select(builder.icmp_signed(">", new, old), new, old), place, align=8)
        return context.get_dummy_value()

    return signature, build


@kernel
def raise_keys(keys, at, weights, along, depth, depth_along, low):
    """Raise keys[at : at + LANES] (flat index) to (float32 1/w, low) as one integer where no weight is below 0.

    `weights` and `along` are three integers of one type: the edge functions at the first pixel and their change from
    one pixel to the next; depth and depth_along are those of 1/w in float64. Nothing checks the bounds of `keys`.
    """
    _raise_keys(keys, at, weights, along, depth, depth_along, low)
