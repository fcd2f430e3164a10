// Provides: gather_features: each splat's gradient of four further channels, summed over its tiles in order.
#include splat_view

@group(0) @binding(1) var<storage, read> slots: array<vec2u>; // first, count
@group(0) @binding(2) var<storage, read> feature_sums: array<vec4f>; // of each slot
@group(0) @binding(3) var<storage, read_write> gradients: array<vec4f>; // [N]

@compute @workgroup_size(64)
fn gather_features(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * FOLDED + id.x;
    if (i >= view.count) {
        return;
    }
    var total = vec4f(0.0);
    for (var slot = slots[i].x; slot < slots[i].x + slots[i].y; slot++) {
        total += feature_sums[slot];
    }
    gradients[i] = total;
}
