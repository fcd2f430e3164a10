// Provides: sum_runs, sum_before, spread_sums: a table's entries become the sums of all entries before them.
#include sort_pass

const RUNS: u32 = 4096u;
const MEMBERS: u32 = 256u;

@group(0) @binding(1) var<storage, read_write> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> runs: array<u32>; // [RUNS]

var<workgroup> totals: array<u32, MEMBERS>;

// Sums that are too large for 32 bits end at the largest number.
fn added(a: u32, b: u32) -> u32 {
    return select(a + b, 0xffffffffu, a + b < a);
}

@compute @workgroup_size(64)
fn sum_runs(@builtin(global_invocation_id) id: vec3u) {
    let run = (now.length + RUNS - 1u) / RUNS;
    var total = 0u;
    for (var i = id.x * run; i < min((id.x + 1u) * run, now.length); i++) {
        total = added(total, table[i]);
    }
    runs[id.x] = total;
}

@compute @workgroup_size(256)
fn sum_before(@builtin(local_invocation_index) lane: u32) {
    let part = RUNS / MEMBERS;
    var total = 0u;
    for (var i = lane * part; i < (lane + 1u) * part; i++) {
        total = added(total, runs[i]);
    }
    totals[lane] = total;
    workgroupBarrier();
    for (var reach = 1u; reach < MEMBERS; reach *= 2u) {
        var more = 0u;
        if (lane >= reach) {
            more = totals[lane - reach];
        }
        workgroupBarrier();
        totals[lane] = added(totals[lane], more);
        workgroupBarrier();
    }
    var sum = 0u;
    if (lane > 0u) {
        sum = totals[lane - 1u];
    }
    for (var i = lane * part; i < (lane + 1u) * part; i++) {
        let value = runs[i];
        runs[i] = sum;
        sum = added(sum, value);
    }
}

@compute @workgroup_size(64)
fn spread_sums(@builtin(global_invocation_id) id: vec3u) {
    let run = (now.length + RUNS - 1u) / RUNS;
    var sum = runs[id.x];
    for (var i = id.x * run; i < min((id.x + 1u) * run, now.length); i++) {
        let value = table[i];
        table[i] = sum;
        sum = added(sum, value);
    }
}
