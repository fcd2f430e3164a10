// Provides: composite_discs: blends the discs of each tile front to back, four channels at once, and their depths.
#include splat_disc_blend
#include splat_image

@group(0) @binding(3) var<storage, read> discs: array<PackedDisc>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;
// [H,W], filled where DEEP: the sum of weights, mean depth, the sum of weight times squared distance from it, and
// median depth. Sums of squares instead of the mean would lose a thin surface's digits.
@group(0) @binding(7) var<storage, read_write> depths: array<vec4f>;

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
    let share = cover(pixels, met.raw);
    add_color(pixels, feature, share.weight);
    if (DEEP) {
        let total = (*deep).total;
        let away = met.depth - (*deep).mean;
        let part = share.weight / max(total + share.weight, vec4f(1e-20));
        (*deep).total = total + share.weight;
        (*deep).mean += away * part;
        (*deep).spread += away * away * part * total;
        (*deep).median = select((*deep).median, met.depth, is_median(share));
    }
}

fn store_depths(deep: Depths, column: Column, first: u32) {
    for (var k = 0u; k < 4u; k++) {
        let y = column.y + first + k;
        if (DEEP && column.x < view.size.x && y < view.size.y) {
            depths[y * view.size.x + column.x] = vec4f(deep.total[k], deep.mean[k], deep.spread[k], deep.median[k]);
        }
    }
}

// As composite_splats (splat_composite.wgsl).
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
    let column = column_of(tile, lane);
    var a = open_pixels(column, 0u);
    var b = open_pixels(column, 4u);
    var c = open_pixels(column, 8u);
    var d = open_pixels(column, 12u);
    var deep_a = Depths();
    var deep_b = Depths();
    var deep_c = Depths();
    var deep_d = Depths();
    let end = starts[tile + 1u];
    var place = starts[tile];
    while (place < end && !are_closed(a.least, b.least, c.least, d.least)) {
        let past = min(place + CHECK, end);
        for (; place < past; place++) {
            let splat = splats[place].x;
            let disc = disc_of(discs[splat]);
            let feature = features[splat];
            let dx = column.middle - disc.centre.x;
            let dy = column.rows - disc.centre.y;
            blend(&a, &deep_a, disc, feature, dx, dy);
            blend(&b, &deep_b, disc, feature, dx, dy + 4.0);
            blend(&c, &deep_c, disc, feature, dx, dy + 8.0);
            blend(&d, &deep_d, disc, feature, dx, dy + 12.0);
        }
    }
    store(a, column, 0u);
    store(b, column, 4u);
    store(c, column, 8u);
    store(d, column, 12u);
    store_depths(deep_a, column, 0u);
    store_depths(deep_b, column, 4u);
    store_depths(deep_c, column, 8u);
    store_depths(deep_d, column, 12u);
}
