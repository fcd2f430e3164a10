// Provides: credit_of and loop_scale, the sums that loop_sums has, for passes that only read them: atomics are slow.
#include loop_amount or loop_amount_fixed

@group(0) @binding(8) var<storage, read> sums: array<i32>;

const SUMS_HEAD = 32u;
const LEVELS_READ = 2u;

fn loop_scale() -> f32 {
    return bitcast<f32>(sums[5]);
}

fn credit_of(row: u32) -> Amount {
    return amount_from_bits(sums[SUMS_HEAD + row]);
}
