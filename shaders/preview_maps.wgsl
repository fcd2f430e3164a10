// Provides: corner_uvs, map_value: texture look-up at a hit through the hardware's trilinear filter.
#include preview_scene
#include fragment
#constant CORNER_VALUES = 1 // vec2f per corner: texture coordinates, then x y and z w of tangents

@group(0) @binding(7) var<storage, read> corner_values: array<vec2f>;
@group(0) @binding(10) var trilinear: sampler;

// Value `part` of the three corners of the hit's triangle.
fn corner_value(hit: Hit, part: u32) -> mat3x2f {
    let at = 3u * hit.triangle * u32(CORNER_VALUES) + part;
    let step = u32(CORNER_VALUES);
    return mat3x2f(corner_values[at], corner_values[at + step], corner_values[at + 2u * step]);
}

fn corner_uvs(hit: Hit) -> mat3x2f {
    return corner_value(hit, 0u);
}

fn map_value(map: texture_2d<f32>, hit: Hit, uv: mat3x2f) -> vec3f {
    let level = footprint_level(hit.place, uv[0], uv[1], uv[2], vec2f(textureDimensions(map)));
    return textureSampleLevel(map, trilinear, uv * hit.place.weights, level).xyz;
}
