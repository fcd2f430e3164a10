// Provides: sums, the sums of a step's credit behind a head.
#include loop_amount or loop_amount_fixed

struct Sums {
    // 0: pixels whose loss was not finite; 1: bits of the largest difference of the last step of this group and view, 0
    // in the first. Cleared before every step: 2: bits of the mip levels that this step has credited; 3: bits of its
    // largest difference; 4: pixels that show a triangle on either side; 5 and 6: bits of its scale and of the largest
    // difference that it can hold; from 16 on those of each band of rows that show two triangles; from 24 on the rest.
    head: array<atomic<i32>, 32>,
    rows: array<atomic<Amount>>, // the group's
}

@group(0) @binding(8) var<storage, read_write> sums: Sums;

const COUNT_NOT_FINITE = 0u;
const LAST_LARGEST = 1u;
const LEVELS_READ = 2u;
const LARGEST = 3u;
const COVERED = 4u;
const SCALE = 5u;
const LIMIT = 6u;
const DIFFERING = 16u;
const OTHERS = 24u;
