// Provides: composite_splats_backward: for each splat in each tile the sums over pixels that its gradients are made of.
#include splat_batches
#include splat_falloff

// Walks front to back once more: what lies behind a splat is the final colour less what has been blended so far. Each
// invocation sums over its column's sixteen pixels; then the columns' sums of a batch of splats are added up in order,
// so that the same inputs give the same bits.
@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;
@group(0) @binding(5) var<storage, read> pixels: array<vec4f>; // [H,W,2] slope, and the pixel times it
@group(0) @binding(6) var<storage, read_write> sums: array<vec4f>; // [slots,2] added to: see keep
@group(0) @binding(7) var<storage, read_write> feature_sums: array<vec4f>; // [slots]

const BATCH: u32 = 16u;
const PARTS: u32 = 3u; // of what is summed, four numbers each
const HALF_LN2: f32 = 0.34657359027997264;

var<workgroup> columns: array<vec4f, 768>; // BATCH * SIDE * PARTS

struct Slopes {
    behind: vec4f,
    of_color: mat4x4f, // columns: red, green, blue and the fourth channel of four pixels
}

struct Sums {
    g0: vec4f, // of d q times 1, dy, dy^2 and u^2
    g1: vec4f,
    g2: vec4f,
    guu: vec4f,
    alpha: vec4f,
    shape: vec4f,
    color: mat4x4f,
}

fn slopes_at(column: Column, first: u32) -> Slopes {
    var loaded = Slopes(vec4f(0.0), mat4x4f());
    var rows = mat4x4f();
    for (var k = 0u; k < 4u; k++) {
        let y = column.y + first + k;
        if (column.x < view.size.x && y < view.size.y) {
            let at = 2u * (y * view.size.x + column.x);
            rows[k] = pixels[at];
            loaded.behind[k] = pixels[at + 1u].x;
        }
    }
    loaded.of_color = transpose(rows);
    return loaded;
}

fn unblend(
    state: ptr<function, Pixels>,
    slopes: ptr<function, Slopes>,
    sums_here: ptr<function, Sums>,
    ellipse: Ellipse,
    feature: vec4f,
    dx: f32,
    dy: vec4f,
) {
    let fall = falloff(ellipse, dx, dy);
    let share = cover(state, fall.raw);
    let blended = share.weight * ((*slopes).of_color * feature);
    let rest = (*slopes).behind - blended;
    (*slopes).behind = rest;
    let slope = alpha_slope(share, fall.raw, blended, rest);
    var g = -0.5 * slope;
    if (EXPONENTIAL) {
        (*sums_here).shape += g * fall.power * fall.logarithm;
        g *= 0.5 * ellipse.shape * fall.power / fall.q;
    }
    (*sums_here).g0 += g;
    (*sums_here).g1 += g * dy;
    (*sums_here).g2 += g * dy * dy;
    (*sums_here).guu += g * fall.u * fall.u;
    (*sums_here).alpha += slope;
    (*sums_here).color += weighted((*slopes).of_color, share.weight);
}

// What is kept, with q the squared Mahalanobis distance: sums of d q times u = a dx + b dy, times v = c dy, u^2 and uv;
// times v^2, of alpha d alpha, of d shape, 0; and of the four channels.
fn keep(at: u32, ellipse: Ellipse, dx: f32, here: Sums) {
    let along = ellipse.ab.x * dx;
    let b = ellipse.ab.y;
    let c = ellipse.c;
    let g0 = total(here.g0);
    let g1 = total(here.g1);
    let g2 = total(here.g2);
    columns[at] = vec4f(along * g0 + b * g1, c * g1, total(here.guu), c * (along * g1 + b * g2));
    columns[at + 1u] = vec4f(c * c * g2, total(here.alpha), total(here.shape) * HALF_LN2, 0.0);
    columns[at + 2u] = totals(here.color);
}

@compute @workgroup_size(16)
fn composite_splats_backward(
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
            let ellipse = ellipse_of(ellipses[splat]);
            let feature = features[splat];
            let dx = column.middle - ellipse.centre.x;
            let dy = column.rows - ellipse.centre.y;
            var here = Sums(); // said, since drivers get variables of loops that are cleared but once
            unblend(&a, &of_a, &here, ellipse, feature, dx, dy);
            unblend(&b, &of_b, &here, ellipse, feature, dx, dy + 4.0);
            unblend(&c, &of_c, &here, ellipse, feature, dx, dy + 8.0);
            unblend(&d, &of_d, &here, ellipse, feature, dx, dy + 12.0);
            keep((k * SIDE + lane) * PARTS, ellipse, dx, here);
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
            if (part < 2u) {
                sums[2u * slot + part] += sum;
            } else {
                feature_sums[slot] = sum;
            }
        }
        workgroupBarrier();
    }
}
