// Provides: set_scale, the fixed point of a step's credit, whose sums over covered pixels fit 32 bits; their number.
#include loop_step
#include loop_sums
#include loop_work

@group(0) @binding(2) var<storage, read_write> work: Work;

const ROOM = 2147482624.0; // below 2^31 by more than what rounding in single precision can add

// A power of two with room for some times the last largest difference: differences shrink with eps and with the error,
// and those of one view say little of another's.
@compute @workgroup_size(1)
fn set_scale() {
    var covered = 0;
    var groups = 0u;
    for (var band = 0u; band < BANDS; band++) {
        let differing = atomicLoad(&sums.head[DIFFERING + band]);
        let both = differing + atomicLoad(&sums.head[OTHERS + band]);
        work.bands[band] = Band(groups, u32(both), u32(differing), 0u);
        groups += (u32(both) + WORK_GROUP - 1u) / WORK_GROUP;
        covered += both;
    }
    let last = bitcast<f32>(atomicLoad(&sums.head[LAST_LARGEST]));
    let limit = select(now.limit, min(now.limit, now.growth * last), last > 0.0);
    let room = ROOM / f32(max(covered, 1)) - 0.5;
    let scale = bitcast<i32>(min(room / limit, 1e38)) & 0x7f800000;
    atomicStore(&sums.head[COVERED], covered);
    atomicStore(&sums.head[LIMIT], bitcast<i32>(limit));
    atomicStore(&sums.head[SCALE], scale);
    work.groups_x = min(groups, WORK_ROW);
    work.groups_y = (groups + WORK_ROW - 1u) / WORK_ROW;
    work.groups_z = 1u;
    work.scale = bitcast<f32>(scale);
    work.limit = limit;
}
