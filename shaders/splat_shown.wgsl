// Provides: hide, box_of, show: what projection finds of a splat besides the record that compositing reads.
#include splat_color

@group(0) @binding(3) var<storage, read> extra: array<f32>; // [N] the fourth channel
@group(0) @binding(5) var<storage, read_write> features: array<vec4f>; // colour and the fourth channel
@group(0) @binding(6) var<storage, read_write> boxes: array<vec3u>; // first and past-last column and row, 16 bits each
@group(0) @binding(7) var<storage, read_write> depths: array<u32>; // positive floats are ordered as their bits
@group(0) @binding(8) var<storage, read_write> shown: array<f32>; // [N,3] centre and radius, pixels; radius 0: not seen

const UNSEEN: u32 = 0xffffffffu;

// Columns and rows of tiles.
struct Box {
    first: vec2u,
    past: vec2u,
}

fn hide(i: u32) {
    depths[i] = UNSEEN;
    boxes[i] = vec3u(0u);
    shown[3u * i] = 0.0;
    shown[3u * i + 1u] = 0.0;
    shown[3u * i + 2u] = 0.0;
}

// The tiles of what lies from `low` to `high` on the image, in pixels, and `slack` around it.
fn box_of(low: vec2f, high: vec2f, slack: vec2f) -> Box {
    let past = vec2u(ceil(min(high + slack, vec2f(view.size))));
    return Box(vec2u(max(low - slack, vec2f(0.0))) / SIDE, (past + SIDE - 1u) / SIDE);
}

// `tiles`: how many of the box are reached.
fn show(i: u32, mean: vec3f, depth: f32, centre: vec2f, radius: f32, box: Box, tiles: u32) {
    features[i] = vec4f(color_of(i, mean), 0.0);
    if (view.extra != 0u) {
        features[i].w = extra[i];
    }
    boxes[i] = vec3u(box.first.x | box.past.x << 16u, box.first.y | box.past.y << 16u, tiles);
    depths[i] = bitcast<u32>(depth);
    shown[3u * i] = centre.x;
    shown[3u * i + 1u] = centre.y;
    shown[3u * i + 2u] = radius;
}
