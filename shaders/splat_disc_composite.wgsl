// Provides: composite_discs: blends the discs of each tile front to back, four channels at once, and their depths.
#include splat_disc_blend

// As composite_splats (splat_composite.wgsl).
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> splats: array<vec2u>; // at each place: the disc, and its slot
@group(0) @binding(3) var<storage, read> discs: array<PackedDisc>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> image: array<vec4f>; // [H,W]
@group(0) @binding(6) var<storage, read_write> transmittance: array<f32>; // [H,W]
// [H,W], filled where DEEP: the sum of weights, mean depth, the sum of weight times squared distance from it, and
// median depth. Sums of squares instead of the mean would lose a thin surface's digits.
@group(0) @binding(7) var<storage, read_write> depths: array<vec4f>;

const CHECK: u32 = 8u; // discs between looks at whether every pixel is closed

struct Depths {
    total: vec4f,
    mean: vec4f,
    spread: vec4f,
    median: vec4f,
}

fn blend(
    pixels: ptr<function, Pixels>,
    deep: ptr<function, Depths>,
    disc: Disc,
    feature: vec4f,
    dx: f32,
    dy: vec4f,
) {
    let met = meeting(disc, dx, dy);
    let alpha = select(vec4f(0.0), min(met.raw, vec4f(ALPHA_MAX)), met.raw >= (*pixels).least);
    let before = (*pixels).clear;
    let after = before * (1.0 - alpha);
    let goes_on = after >= vec4f(STOP);
    let weight = select(vec4f(0.0), alpha * before, goes_on);
    (*pixels).clear = select(before, after, goes_on);
    (*pixels).least = select(vec4f(CLOSED), (*pixels).least, goes_on);
    (*pixels).color[0] += feature.x * weight;
    (*pixels).color[1] += feature.y * weight;
    (*pixels).color[2] += feature.z * weight;
    (*pixels).color[3] += feature.w * weight;
    if (DEEP) {
        let total = (*deep).total;
        let away = met.depth - (*deep).mean;
        let share = weight / max(total + weight, vec4f(1e-20));
        (*deep).total = total + weight;
        (*deep).mean += away * share;
        (*deep).spread += away * away * share * total;
        let falls = (before > vec4f(0.5)) & (after <= vec4f(0.5));
        (*deep).median = select((*deep).median, met.depth, falls);
    }
}

fn store(pixels: Pixels, deep: Depths, x: u32, y: u32) {
    for (var k = 0u; k < 4u; k++) {
        if (x < view.size.x && y + k < view.size.y) {
            let at = (y + k) * view.size.x + x;
            let c = pixels.color;
            image[at] = vec4f(c[0][k], c[1][k], c[2][k], c[3][k]);
            transmittance[at] = pixels.clear[k];
            if (DEEP) {
                depths[at] = vec4f(deep.total[k], deep.mean[k], deep.spread[k], deep.median[k]);
            }
        }
    }
}

@compute @workgroup_size(16)
fn composite_discs(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group.y * groups.x + group.x;
    if (tile >= view.tiles) {
        return;
    }
    let x = tile % view.columns * SIDE + lane;
    let y = tile / view.columns * SIDE;
    let rows = f32(y) + vec4f(0.5, 1.5, 2.5, 3.5);
    let end = starts[tile + 1u];
    var a = Pixels(open_pixels(x, y), vec4f(1.0), mat4x4f());
    var b = Pixels(open_pixels(x, y + 4u), vec4f(1.0), mat4x4f());
    var c = Pixels(open_pixels(x, y + 8u), vec4f(1.0), mat4x4f());
    var d = Pixels(open_pixels(x, y + 12u), vec4f(1.0), mat4x4f());
    var deep_a = Depths();
    var deep_b = Depths();
    var deep_c = Depths();
    var deep_d = Depths();
    var place = starts[tile];
    while (place < end) {
        if (are_closed(a.least, b.least, c.least, d.least)) {
            break;
        }
        let past = min(place + CHECK, end);
        for (; place < past; place++) {
            let splat = splats[place].x;
            let disc = disc_of(discs[splat]);
            let feature = features[splat];
            let dx = f32(x) + 0.5 - disc.centre.x;
            let dy = rows - disc.centre.y;
            blend(&a, &deep_a, disc, feature, dx, dy);
            blend(&b, &deep_b, disc, feature, dx, dy + 4.0);
            blend(&c, &deep_c, disc, feature, dx, dy + 8.0);
            blend(&d, &deep_d, disc, feature, dx, dy + 12.0);
        }
    }
    store(a, deep_a, x, y);
    store(b, deep_b, x, y + 4u);
    store(c, deep_c, x, y + 8u);
    store(d, deep_d, x, y + 12u);
}
