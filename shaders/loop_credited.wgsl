// Provides: sums and loop_scale as loop_sums does, for passes that only read them: atomics are slow to read.

@group(0) @binding(8) var<storage, read> sums: array<i32>;

const SUMS_HEAD = 32u;
const LEVELS_READ = 2u;

fn loop_scale() -> f32 {
    return bitcast<f32>(sums[5]);
}
