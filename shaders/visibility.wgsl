// Provides: entry points `vertex` and `fragment` that draw the number of the nearest triangle into every pixel.
#include clip_space

// Vertices are pulled, three invocations per triangle, so that a triangle's number needs no optional feature.
// `corners` may be a range of a longer list: `first` counts the triangles before it.
@group(0) @binding(0) var<storage, read> positions: array<vec4f>;
@group(0) @binding(1) var<storage, read> corners: array<u32>;
@group(0) @binding(2) var<uniform> first: u32;

struct Corner {
    @builtin(position) position: vec4f,
    @location(0) @interpolate(flat, either) number: u32,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Corner {
    let triangle = index / 3u;
    let corner = index - 3u * triangle;
    let a = positions[corners[3u * triangle]];
    let b = positions[corners[3u * triangle + 1u]];
    let c = positions[corners[3u * triangle + 2u]];
    var position = select(select(c, b, corner == 1u), a, corner == 0u);
    if !(is_finite(a) && is_finite(b) && is_finite(c)) {
        position = vec4f(0.0, 0.0, 0.0, 1.0); // of all three corners: no area
    }
    return Corner(to_device(position), first + triangle + 1u);
}

@fragment
fn fragment(@location(0) @interpolate(flat, either) number: u32) -> @location(0) u32 {
    return number;
}
