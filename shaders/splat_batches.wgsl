// Provides: span_of, any_open, alpha_slope, weighted, total: a tile's splats in batches, and sums over its pixels.
#include splat_blend

var<workgroup> open: array<u32, SIDE>;
var<workgroup> open_columns: u32;
var<workgroup> span: vec2u;

// (first, past-last) place of a tile, the same for all invocations; none beyond the last tile.
fn span_of(tile: u32, lane: u32) -> vec2u {
    if (lane == 0u) {
        span = vec2u(0u);
        if (tile < view.tiles) {
            span = vec2u(starts[tile], starts[tile + 1u]);
        }
    }
    return workgroupUniformLoad(&span);
}

// Whether one of the tile's columns takes more splats; all invocations ask together.
fn any_open(lane: u32, closed: bool) -> bool {
    open[lane] = u32(!closed);
    workgroupBarrier();
    if (lane == 0u) {
        open_columns = 0u;
        for (var k = 0u; k < SIDE; k++) {
            open_columns |= open[k];
        }
    }
    return workgroupUniformLoad(&open_columns) != 0u;
}

// Alpha times its gradient; `blended` is the splat's product with the slope, `rest` that of all behind it.
fn alpha_slope(share: Share, raw: vec4f, blended: vec4f, rest: vec4f) -> vec4f {
    let counted = select(vec4f(0.0), blended - share.alpha * rest / (1.0 - share.alpha), share.goes_on);
    return select(vec4f(0.0), counted, raw < vec4f(ALPHA_MAX));
}

fn weighted(channels: mat4x4f, weight: vec4f) -> mat4x4f {
    return mat4x4f(weight * channels[0], weight * channels[1], weight * channels[2], weight * channels[3]);
}

fn total(four: vec4f) -> f32 {
    return (four.x + four.y) + (four.z + four.w);
}

fn totals(channels: mat4x4f) -> vec4f {
    return vec4f(total(channels[0]), total(channels[1]), total(channels[2]), total(channels[3]));
}
