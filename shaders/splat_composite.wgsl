// Provides: composite_splats: blends the splats of each tile front to back, four channels at once.
#include splat_blend

// One invocation per column of a tile, four times four of its pixels at a time: what it loads of a splat serves
// sixteen pixels, and nothing is shared, so that a tile needs no barrier.
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> splats: array<vec2u>; // at each place: the splat, and its slot
@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> image: array<vec4f>; // [H,W]
@group(0) @binding(6) var<storage, read_write> transmittance: array<f32>; // [H,W]

const CHECK: u32 = 8u; // splats between looks at whether every pixel is closed

fn blend(pixels: ptr<function, Pixels>, ellipse: Ellipse, feature: vec4f, dx: f32, dy: vec4f) {
    let raw = falloff(ellipse, dx, dy).raw;
    let alpha = select(vec4f(0.0), min(raw, vec4f(ALPHA_MAX)), raw >= (*pixels).least);
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
}

fn store(pixels: Pixels, x: u32, y: u32) {
    for (var k = 0u; k < 4u; k++) {
        if (x < view.size.x && y + k < view.size.y) {
            let at = (y + k) * view.size.x + x;
            let c = pixels.color;
            image[at] = vec4f(c[0][k], c[1][k], c[2][k], c[3][k]);
            transmittance[at] = pixels.clear[k];
        }
    }
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
    let x = tile % view.columns * SIDE + lane;
    let y = tile / view.columns * SIDE;
    let rows = f32(y) + vec4f(0.5, 1.5, 2.5, 3.5);
    let end = starts[tile + 1u];
    var a = Pixels(open_pixels(x, y), vec4f(1.0), mat4x4f());
    var b = Pixels(open_pixels(x, y + 4u), vec4f(1.0), mat4x4f());
    var c = Pixels(open_pixels(x, y + 8u), vec4f(1.0), mat4x4f());
    var d = Pixels(open_pixels(x, y + 12u), vec4f(1.0), mat4x4f());
    var place = starts[tile];
    while (place < end) {
        if (are_closed(a.least, b.least, c.least, d.least)) {
            break;
        }
        let past = min(place + CHECK, end);
        for (; place < past; place++) {
            let splat = splats[place].x;
            let ellipse = ellipse_of(ellipses[splat]);
            let feature = features[splat];
            let dx = f32(x) + 0.5 - ellipse.centre.x;
            let dy = rows - ellipse.centre.y;
            blend(&a, ellipse, feature, dx, dy);
            blend(&b, ellipse, feature, dx, dy + 4.0);
            blend(&c, ellipse, feature, dx, dy + 8.0);
            blend(&d, ellipse, feature, dx, dy + 12.0);
        }
    }
    store(a, x, y);
    store(b, x, y + 4u);
    store(c, x, y + 8u);
    store(d, x, y + 12u);
}
