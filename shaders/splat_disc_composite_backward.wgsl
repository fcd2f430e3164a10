// Provides: composite_discs_backward: for each disc in each tile the sums over pixels that its gradients are made of.
#include splat_batches
#include splat_disc_blend

// As composite_splats_backward (splat_composite_backward.wgsl). A weight's slope has a part from depth: base + line e +
// bend e^2 for a disc that is met e behind the pixel's mean depth.
@group(0) @binding(3) var<storage, read> discs: array<PackedDisc>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;
@group(0) @binding(5) var<storage, read> pixels: array<vec4f>; // [H,W,3] slope; pixel times it, base, line, bend; mean
@group(0) @binding(6) var<storage, read_write> sums: array<vec4f>; // [slots,4] added to: see keep
@group(0) @binding(7) var<storage, read_write> feature_sums: array<vec4f>; // [slots]

const BATCH: u32 = 8u;
const PARTS: u32 = 5u; // of what is summed, four numbers each

var<workgroup> columns: array<vec4f, 640>; // BATCH * SIDE * PARTS

struct Slopes {
    behind: vec4f,
    of_color: mat4x4f, // columns: red, green, blue and the fourth channel of four pixels
    base: vec4f,
    line: vec4f,
    bend: vec4f,
    mean: vec4f,
}

struct Sums {
    u0: vec4f, // of d U alone and times dy, and so on
    u1: vec4f,
    v0: vec4f,
    v1: vec4f,
    facing0: vec4f, // of d D
    facing1: vec4f,
    filter0: vec4f, // of the screen filter's slope
    filter1: vec4f,
    alpha: vec4f,
    depth: vec4f, // of d depth alone, times u and times v
    depth_u: vec4f,
    depth_v: vec4f,
    color: mat4x4f,
}

fn slopes_at(column: Column, first: u32) -> Slopes {
    var rows = mat4x4f();
    var others = mat4x4f();
    var mean = vec4f(0.0);
    for (var k = 0u; k < 4u; k++) {
        let y = column.y + first + k;
        if (column.x < view.size.x && y < view.size.y) {
            let at = 3u * (y * view.size.x + column.x);
            rows[k] = pixels[at];
            others[k] = pixels[at + 1u];
            mean[k] = pixels[at + 2u].x;
        }
    }
    let of_depth = transpose(others);
    return Slopes(of_depth[0], transpose(rows), of_depth[1], of_depth[2], of_depth[3], mean);
}

fn unblend(
    state: ptr<function, Pixels>,
    slopes: ptr<function, Slopes>,
    sums_here: ptr<function, Sums>,
    disc: Disc,
    feature: vec4f,
    dx: f32,
    dy: vec4f,
) {
    let met = meeting(disc, dx, dy);
    let share = cover(state, met.raw);
    let u = select(vec4f(0.0), met.u, met.hit);
    let v = select(vec4f(0.0), met.v, met.hit);
    let inverse = select(vec4f(0.0), met.inverse, met.hit);
    var along = (*slopes).of_color * feature;
    var d_depth = vec4f(0.0);
    if (DEEP) {
        let away = met.depth - (*slopes).mean;
        let bent = away * (*slopes).bend;
        along += (*slopes).base + away * ((*slopes).line + bent);
        d_depth = share.weight * ((*slopes).line + 2.0 * bent);
        (*sums_here).depth += d_depth;
        (*sums_here).depth_u += d_depth * u;
        (*sums_here).depth_v += d_depth * v;
    }
    let blended = share.weight * along;
    let rest = (*slopes).behind - blended;
    (*slopes).behind = rest;
    let slope = alpha_slope(share, met.raw, blended, rest);
    let d_u = (d_depth * disc.lean.x - slope * u) * inverse;
    let d_v = (d_depth * disc.lean.y - slope * v) * inverse;
    let d_facing = -(u * d_u + v * d_v);
    let d_filter = select(-2.0 * slope, vec4f(0.0), met.hit);
    (*sums_here).u0 += d_u;
    (*sums_here).u1 += d_u * dy;
    (*sums_here).v0 += d_v;
    (*sums_here).v1 += d_v * dy;
    (*sums_here).facing0 += d_facing;
    (*sums_here).facing1 += d_facing * dy;
    (*sums_here).filter0 += d_filter;
    (*sums_here).filter1 += d_filter * dy;
    (*sums_here).alpha += slope;
    (*sums_here).color += weighted((*slopes).of_color, share.weight);
}

// What is kept: sums of d U alone, times dx and times dy, and of the filter's slope times dx; the same of d V, the
// slope times dy; of d D, and of alpha d alpha; of d depth alone, times u and times v, 0; and of the four channels.
fn keep(at: u32, dx: f32, here: Sums) {
    let u = total(here.u0);
    let v = total(here.v0);
    let facing = total(here.facing0);
    columns[at] = vec4f(u, u * dx, total(here.u1), total(here.filter0) * dx);
    columns[at + 1u] = vec4f(v, v * dx, total(here.v1), total(here.filter1));
    columns[at + 2u] = vec4f(facing, facing * dx, total(here.facing1), total(here.alpha));
    columns[at + 3u] = vec4f(total(here.depth), total(here.depth_u), total(here.depth_v), 0.0);
    columns[at + 4u] = totals(here.color);
}

@compute @workgroup_size(16)
fn composite_discs_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group.y * groups.x + group.x;
    let run = span_of(tile, lane);
    let column = column_of(tile, lane);
    var a = open_pixels(column, 0u);
    var b = open_pixels(column, 4u);
    var c = open_pixels(column, 8u);
    var d = open_pixels(column, 12u);
    var of_a = slopes_at(column, 0u);
    var of_b = slopes_at(column, 4u);
    var of_c = slopes_at(column, 8u);
    var of_d = slopes_at(column, 12u);
    for (var first = run.x; first < run.y; first += BATCH) {
        if (!any_open(lane, are_closed(a.least, b.least, c.least, d.least))) {
            break;
        }
        let count = min(BATCH, run.y - first);
        for (var k = 0u; k < count; k++) {
            let splat = splats[first + k].x;
            let disc = disc_of(discs[splat]);
            let feature = features[splat];
            let dx = column.middle - disc.centre.x;
            let dy = column.rows - disc.centre.y;
            var here = Sums(); // said, since drivers get variables of loops that are cleared but once
            unblend(&a, &of_a, &here, disc, feature, dx, dy);
            unblend(&b, &of_b, &here, disc, feature, dx, dy + 4.0);
            unblend(&c, &of_c, &here, disc, feature, dx, dy + 8.0);
            unblend(&d, &of_d, &here, disc, feature, dx, dy + 12.0);
            keep((k * SIDE + lane) * PARTS, dx, here);
        }
        workgroupBarrier();
        for (var entry = lane; entry < count * PARTS; entry += SIDE) {
            let index = entry / PARTS;
            let part = entry % PARTS;
            var sum = vec4f(0.0);
            for (var k = 0u; k < SIDE; k++) {
                sum += columns[(index * SIDE + k) * PARTS + part];
            }
            let slot = splats[first + index].y;
            if (part < 4u) {
                sums[4u * slot + part] += sum;
            } else {
                feature_sums[slot] = sum;
            }
        }
        workgroupBarrier();
    }
}
