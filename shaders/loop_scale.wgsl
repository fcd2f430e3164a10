// Provides: count_covered, set_scale: the fixed point of a step's credit, whose sums over covered pixels fit 32 bits.
#include loop_step
#include loop_sums

@group(0) @binding(4) var ids_plus: texture_2d<u32>;
@group(0) @binding(5) var ids_minus: texture_2d<u32>;

const RUN = 64u; // pixels of a row that one invocation counts, so that atomics are few
const ROOM = 2147482624.0; // below 2^31 by more than what rounding in single precision can add

// One invocation per run of pixels (x) and row (y).
@compute @workgroup_size(8, 8)
fn count_covered(@builtin(global_invocation_id) id: vec3u) {
    if (id.y >= view.size.y) {
        return;
    }
    var count = 0;
    for (var x = RUN * id.x; x < min(RUN * id.x + RUN, view.size.x); x++) {
        var shown = textureLoad(ids_plus, vec2u(x, id.y), 0).x;
        if (GROUP == GROUP_VERTICES || GROUP == GROUP_CAMERA_POSE || GROUP == GROUP_DISPLACEMENT) {
            shown |= textureLoad(ids_minus, vec2u(x, id.y), 0).x;
        }
        count += i32(shown != 0u);
    }
    if (count > 0) {
        atomicAdd(&sums.head[COVERED], count);
    }
}

// A power of two with room for some times the last largest difference: differences shrink with eps and with the error,
// and those of one view say little of another's.
@compute @workgroup_size(1)
fn set_scale() {
    let last = bitcast<f32>(atomicLoad(&sums.head[LAST_LARGEST]));
    let limit = select(now.limit, min(now.limit, now.growth * last), last > 0.0);
    let room = ROOM / f32(max(atomicLoad(&sums.head[COVERED]), 1)) - 0.5;
    atomicStore(&sums.head[LIMIT], bitcast<i32>(limit));
    atomicStore(&sums.head[SCALE], bitcast<i32>(min(room / limit, 1e38)) & 0x7f800000);
}
