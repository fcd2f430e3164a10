// Provides: find_median_depths: where each pixel's transmittance falls to a half.
#include splat_blend

@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> splats: array<vec2u>; // at each place: the splat, and its slot
@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> geometry: array<vec4f>; // [N,3] the mean first
@group(0) @binding(5) var<storage, read_write> depths: array<vec4f>; // [H,W] the last is median depth, or 0

struct Halves {
    least: vec4f, // alpha that is blended
    clear: vec4f, // transmittance
    depth: vec4f,
}

fn pass_by(pixels: ptr<function, Halves>, ellipse: Ellipse, depth: f32, dx: f32, dy: vec4f) {
    let raw = falloff(ellipse, dx, dy).raw;
    let alpha = select(vec4f(0.0), min(raw, vec4f(ALPHA_MAX)), raw >= (*pixels).least);
    let after = (*pixels).clear * (1.0 - alpha);
    let falls = ((*pixels).clear > vec4f(0.5)) & (after <= vec4f(0.5));
    (*pixels).clear = after;
    (*pixels).depth = select((*pixels).depth, vec4f(depth), falls);
    (*pixels).least = select((*pixels).least, vec4f(CLOSED), falls);
}

fn store(pixels: Halves, x: u32, y: u32) {
    for (var k = 0u; k < 4u; k++) {
        if (x < view.size.x && y + k < view.size.y) {
            depths[(y + k) * view.size.x + x] = vec4f(0.0, 0.0, 0.0, pixels.depth[k]);
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
    let x = tile % view.columns * SIDE + lane;
    let y = tile / view.columns * SIDE;
    let rows = f32(y) + vec4f(0.5, 1.5, 2.5, 3.5);
    let end = starts[tile + 1u];
    var a = Halves(open_pixels(x, y), vec4f(1.0), vec4f(0.0));
    var b = Halves(open_pixels(x, y + 4u), vec4f(1.0), vec4f(0.0));
    var c = Halves(open_pixels(x, y + 8u), vec4f(1.0), vec4f(0.0));
    var d = Halves(open_pixels(x, y + 12u), vec4f(1.0), vec4f(0.0));
    for (var place = starts[tile]; place < end; place++) {
        if (are_closed(a.least, b.least, c.least, d.least)) {
            break;
        }
        let splat = splats[place].x;
        let ellipse = ellipse_of(ellipses[splat]);
        let depth = dot(pose_row(2u), vec4f(geometry[3u * splat].xyz, 1.0));
        let dx = f32(x) + 0.5 - ellipse.centre.x;
        let dy = rows - ellipse.centre.y;
        pass_by(&a, ellipse, depth, dx, dy);
        pass_by(&b, ellipse, depth, dx, dy + 4.0);
        pass_by(&c, ellipse, depth, dx, dy + 8.0);
        pass_by(&d, ellipse, depth, dx, dy + 12.0);
    }
    store(a, x, y);
    store(b, x, y + 4u);
    store(c, x, y + 8u);
    store(d, x, y + 12u);
}
