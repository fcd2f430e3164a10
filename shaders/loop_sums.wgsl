// Provides: sums, the fixed-point sums of credit behind a head, and loop_scale, by which this step's are scaled.

// 0: pixels whose loss was not finite; 2: bits of the mip levels that this step has credited; 8 + group: bits of the
// largest difference of the group's last step; 16 and 17: bits of this step's scale and of the largest difference that
// it can hold. Then the group's sums.
@group(0) @binding(8) var<storage, read_write> sums: array<atomic<i32>>;

const SUMS_HEAD = 32u;
const COUNT_NOT_FINITE = 0u;
const LEVELS_READ = 2u;
const LARGEST = 8u;
const SCALE = 16u;
const LIMIT = 17u;

fn loop_scale() -> f32 {
    return bitcast<f32>(atomicLoad(&sums[SCALE]));
}

fn loop_limit() -> f32 {
    return bitcast<f32>(atomicLoad(&sums[LIMIT]));
}
