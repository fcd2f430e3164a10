// Provides: find_median_depths: where each pixel's transmittance falls to a half.
#include splat_falloff

@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> geometry: array<vec4f>; // [N,3] the mean first
@group(0) @binding(5) var<storage, read_write> depths: array<vec4f>; // [H,W] the last is median depth, or 0

fn pass_by(
    pixels: ptr<function, Pixels>,
    median: ptr<function, vec4f>,
    ellipse: Ellipse,
    depth: f32,
    dx: f32,
    dy: vec4f,
) {
    let found = is_median(cover(pixels, falloff(ellipse, dx, dy).raw));
    *median = select(*median, vec4f(depth), found);
    (*pixels).least = select((*pixels).least, vec4f(CLOSED), found);
}

fn store(median: vec4f, column: Column, first: u32) {
    for (var k = 0u; k < 4u; k++) {
        let y = column.y + first + k;
        if (column.x < view.size.x && y < view.size.y) {
            depths[y * view.size.x + column.x] = vec4f(0.0, 0.0, 0.0, median[k]);
        }
    }
}

@compute @workgroup_size(16)
fn find_median_depths(
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
    var median_a = vec4f(0.0);
    var median_b = vec4f(0.0);
    var median_c = vec4f(0.0);
    var median_d = vec4f(0.0);
    for (var place = starts[tile]; place < starts[tile + 1u]; place++) {
        if (are_closed(a.least, b.least, c.least, d.least)) {
            break;
        }
        let splat = splats[place].x;
        let ellipse = ellipse_of(ellipses[splat]);
        let depth = dot(pose_row(2u), vec4f(geometry[3u * splat].xyz, 1.0));
        let dx = column.middle - ellipse.centre.x;
        let dy = column.rows - ellipse.centre.y;
        pass_by(&a, &median_a, ellipse, depth, dx, dy);
        pass_by(&b, &median_b, ellipse, depth, dx, dy + 4.0);
        pass_by(&c, &median_c, ellipse, depth, dx, dy + 8.0);
        pass_by(&d, &median_d, ellipse, depth, dx, dy + 12.0);
    }
    store(median_a, column, 0u);
    store(median_b, column, 4u);
    store(median_c, column, 8u);
    store(median_d, column, 12u);
}
