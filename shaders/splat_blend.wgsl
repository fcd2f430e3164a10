// Provides: Column, Pixels, cover, add_color: how the pixels of a tile's column take one splat after another.
#include splat_view

@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> splats: array<vec2u>; // at each place: the splat, and its slot

const CLOSED: f32 = 1e30; // the least alpha of a pixel that takes no more splats
const HALF_LOG2E: f32 = 0.7213475204444817;

// What one invocation fills, four pixels at a time: what it loads of a splat serves sixteen pixels.
struct Column {
    x: u32,
    y: u32, // of the first of its pixels
    middle: f32, // x of the pixels' centres
    rows: vec4f, // y of the centres of the first four
}

struct Pixels {
    least: vec4f, // alpha that is blended
    clear: vec4f, // transmittance
    color: mat4x4f, // columns: red, green, blue and the fourth channel of four pixels
}

// A splat's share of four pixels.
struct Share {
    alpha: vec4f,
    before: vec4f, // transmittance in front of the splat, and behind it if it is blended
    after: vec4f,
    goes_on: vec4<bool>, // else too little would come through: the splat is left out and the pixel closed
    weight: vec4f,
}

fn column_of(tile: u32, lane: u32) -> Column {
    let x = tile % view.columns * SIDE + lane;
    let y = tile / view.columns * SIDE;
    return Column(x, y, f32(x) + 0.5, f32(y) + vec4f(0.5, 1.5, 2.5, 3.5));
}

// Four pixels of a column from its row `first` on; those beyond the image are closed.
fn open_pixels(column: Column, first: u32) -> Pixels {
    let y = column.y + first;
    let within = vec4u(y, y + 1u, y + 2u, y + 3u) < vec4u(view.size.y);
    let least = select(vec4f(CLOSED), vec4f(ALPHA_MIN), within & vec4<bool>(column.x < view.size.x));
    return Pixels(least, vec4f(1.0), mat4x4f());
}

fn are_closed(a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> bool {
    let least = min(min(a, b), min(c, d));
    return min(min(least.x, least.y), min(least.z, least.w)) == CLOSED;
}

// `raw` is alpha before it is clamped.
fn cover(pixels: ptr<function, Pixels>, raw: vec4f) -> Share {
    let alpha = select(vec4f(0.0), min(raw, vec4f(ALPHA_MAX)), raw >= (*pixels).least);
    let before = (*pixels).clear;
    let after = before * (1.0 - alpha);
    let goes_on = after >= vec4f(STOP);
    (*pixels).clear = select(before, after, goes_on);
    (*pixels).least = select(vec4f(CLOSED), (*pixels).least, goes_on);
    return Share(alpha, before, after, goes_on, select(vec4f(0.0), alpha * before, goes_on));
}

fn add_color(pixels: ptr<function, Pixels>, feature: vec4f, weight: vec4f) {
    (*pixels).color[0] += feature.x * weight;
    (*pixels).color[1] += feature.y * weight;
    (*pixels).color[2] += feature.z * weight;
    (*pixels).color[3] += feature.w * weight;
}

// Where transmittance falls to a half.
fn is_median(share: Share) -> vec4<bool> {
    return (share.before > vec4f(0.5)) & (share.after <= vec4f(0.5));
}
