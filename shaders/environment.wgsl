// Provides: the prefiltered light in bind group 1, light_from (one blur of it) and light_albedo (the table beside it).
#include equirectangular
#include light_texel or light_texel_plain

// Group 1 belongs to the shading. Binding 0 holds, as vec4f with an unused last component, `levels` blurs of the light
// for roughness i / (levels - 1), then irradiance / pi, each (height + 2) x (width + 2) with a border of one texel from
// across the seam and the poles; from `table` on table_size^2 nodes of the specular albedo (scale, bias of F0), rows
// by roughness, columns by the cosine of the view. Binding 1 holds the sizes and the frame. engine/shading/webgpu
// fills both.
struct Light {
    environment_from_world: mat3x3f,
    height: u32, // of a blur without its border
    width: u32,
    levels: u32,
    table: u32, // index of the table's first node
    table_size: u32,
}

@group(1) @binding(1) var<uniform> light: Light;

// Blur `layer` of the light from a direction of any length in the light's frame; layer `levels` is irradiance / pi.
fn light_from(layer: u32, direction: vec3f) -> vec3f {
    let size = vec2f(vec2u(light.width, light.height));
    let place = uv_from_direction(direction) * size + 0.5;
    let stride = light.width + 2u;
    let corner = min(vec2u(place), vec2u(light.width, light.height));
    let part = place - vec2f(corner);
    let first = (layer * (light.height + 2u) + corner.y) * stride + corner.x;
    let upper = mix(light_texel(first), light_texel(first + 1u), part.x);
    let lower = mix(light_texel(first + stride), light_texel(first + stride + 1u), part.x);
    return mix(upper, lower, part.y);
}

// The light blurred for `roughness` in [0,1], between its two nearest levels.
fn light_blurred(roughness: f32, direction: vec3f) -> vec3f {
    let place = roughness * f32(light.levels - 1u);
    let low = min(u32(place), light.levels - 2u);
    return mix(light_from(low, direction), light_from(low + 1u, direction), place - f32(low));
}

// (scale, bias) of F0 in the specular albedo at `roughness` and view cosine in [0,1].
fn light_albedo(roughness: f32, cosine: f32) -> vec2f {
    let last = f32(light.table_size - 1u);
    let place = vec2f(cosine, roughness) * last;
    let low = min(vec2u(place), vec2u(light.table_size - 2u));
    let part = place - vec2f(low);
    let first = light.table + low.y * light.table_size + low.x;
    let less = mix(light_texels[first].xy, light_texels[first + 1u].xy, part.x);
    let next = first + light.table_size;
    return mix(less, mix(light_texels[next].xy, light_texels[next + 1u].xy, part.x), part.y);
}
