// Provides: count_digits, move_digits: one pass of a stable radix sort of 32-bit keys with values, without barriers.
#include sort_pass

// Each invocation takes a run of keys and has a column of the table to itself, so that the order needs no atomics.
@group(0) @binding(1) var<storage, read> amounts: array<u32>;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> table: array<u32>; // [bins,lanes] zeros, then counts, then first places
@group(0) @binding(4) var<storage, read> values: array<u32>; // not read in the first pass, where they are 0, 1, 2, ...
@group(0) @binding(5) var<storage, read_write> sorted_keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> sorted_values: array<u32>;

@compute @workgroup_size(64)
fn count_digits(@builtin(global_invocation_id) id: vec3u) {
    let lane = id.x;
    let count = amounts[now.amount];
    let run = (count + now.lanes - 1u) / now.lanes;
    for (var i = lane * run; i < min((lane + 1u) * run, count); i++) {
        table[((keys[i] >> now.shift) & (now.bins - 1u)) * now.lanes + lane] += 1u;
    }
}

@compute @workgroup_size(64)
fn move_digits(@builtin(global_invocation_id) id: vec3u) {
    let lane = id.x;
    let count = amounts[now.amount];
    let run = (count + now.lanes - 1u) / now.lanes;
    for (var i = lane * run; i < min((lane + 1u) * run, count); i++) {
        let key = keys[i];
        let at = ((key >> now.shift) & (now.bins - 1u)) * now.lanes + lane;
        let place = table[at];
        table[at] = place + 1u;
        sorted_keys[place] = key;
        var value = i;
        if (now.first == 0u) {
            value = values[i];
        }
        sorted_values[place] = value;
    }
}
