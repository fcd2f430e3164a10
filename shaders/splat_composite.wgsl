// Provides: composite_splats: blends the splats of each tile front to back, four channels at once.
#include splat_falloff
#include splat_image

// Invocations share nothing, so that a tile needs no barrier.
@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;

fn blend(pixels: ptr<function, Pixels>, ellipse: Ellipse, feature: vec4f, dx: f32, dy: vec4f) {
    add_color(pixels, feature, cover(pixels, falloff(ellipse, dx, dy).raw).weight);
}

@compute @workgroup_size(16)
fn composite_splats(
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
    let end = starts[tile + 1u];
    var place = starts[tile];
    while (place < end && !are_closed(a.least, b.least, c.least, d.least)) {
        let past = min(place + CHECK, end);
        for (; place < past; place++) {
            let splat = splats[place].x;
            let ellipse = ellipse_of(ellipses[splat]);
            let feature = features[splat];
            let dx = column.middle - ellipse.centre.x;
            let dy = column.rows - ellipse.centre.y;
            blend(&a, ellipse, feature, dx, dy);
            blend(&b, ellipse, feature, dx, dy + 4.0);
            blend(&c, ellipse, feature, dx, dy + 8.0);
            blend(&d, ellipse, feature, dx, dy + 12.0);
        }
    }
    store(a, column, 0u);
    store(b, column, 4u);
    store(c, column, 8u);
    store(d, column, 12u);
}
