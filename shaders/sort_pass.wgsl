// Provides: SortPass, now: what one pass of a radix sort, and the running sums within it, are told.

struct SortPass {
    shift: u32, // of the digit
    bins: u32, // values that a digit takes, a power of two
    lanes: u32, // invocations, a multiple of 64
    amount: u32, // which of `amounts` is the number of keys
    first: u32, // 1: values are 0, 1, 2, ...
    length: u32, // of the table whose running sums are taken
}

@group(0) @binding(0) var<uniform> now: SortPass;
