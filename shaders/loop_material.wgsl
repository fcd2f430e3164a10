// Provides: Material, material_at, material_moved, material_normal: a texture pyramid's values and taps.
#include loop_step
#include surface
#include texture
#include loop_texels or loop_texels_buffer
#include normal_map

struct Material {
    base_color: vec3f,
    roughness: f32,
    metallic: f32,
    occlusion: f32,
    slope: vec2f, // of the tangent-space normal whose z is 1
}

// The texels read by the last look-up, with their weights: what the pixel is credited to.
var<private> material_tap: array<u32, 8>;
var<private> material_weight: array<f32, 8>;
var<private> material_taps: u32;
var<private> material_levels: u32; // bits of the levels that they belong to

const COLOR_TEXTURE = GROUP == GROUP_BASE_COLOR;
const ROUGH_TEXTURE = GROUP == GROUP_ROUGHNESS_METALLIC;
const NORMAL_TEXTURE = GROUP == GROUP_NORMAL_MAP;

fn share_of(value: vec3f) -> vec3f {
    return clamp(value, vec3f(0.0), vec3f(1.0));
}

fn look_up(uv: vec2f, level: u32, share: f32, color: ptr<function, vec4f>, rest: ptr<function, vec4f>) {
    let corners = texture_corners(uv, now.texture_size, level);
    for (var k = 0u; k < 4u; k++) {
        let texel = corners.index[k];
        let weight = share * corners.weight[k];
        if (weight == 0.0) {
            continue;
        }
        *color += weight * color_texel(texel, level);
        *rest += weight * surface_texel(texel, level);
        if (COLOR_TEXTURE || ROUGH_TEXTURE || NORMAL_TEXTURE) {
            material_tap[material_taps] = texel;
            material_weight[material_taps] = weight;
            material_taps++;
        }
    }
}

fn material_at(uv: vec2f, level: f32) -> Material {
    var color = vec4f(0.0);
    var rest = vec4f(0.0);
    let place = clamp(level, 0.0, f32(now.levels - 1u));
    let low = u32(place);
    let blend = place - f32(low);
    material_taps = 0u;
    material_levels = 1u << low;
    look_up(uv, low, 1.0 - blend, &color, &rest);
    if (blend > 0.0) {
        material_levels |= 2u << low;
        look_up(uv, low + 1u, blend, &color, &rest);
    }
    let scalars = share_of(vec3f(color.w, rest.x, rest.w));
    return Material(share_of(color.xyz), scalars.x, scalars.y, scalars.z, rest.yz);
}

// The channels of the step's group moved by `way`. A shading is promised values in [0,1]: where a border is nearer, the
// difference is one-sided and smaller.
fn material_moved(material: Material, way: vec3f) -> Material {
    var moved = material;
    if (COLOR_TEXTURE) {
        moved.base_color = share_of(material.base_color + way);
    } else if (ROUGH_TEXTURE) {
        moved.roughness = clamp(material.roughness + way.x, 0.0, 1.0);
        moved.metallic = clamp(material.metallic + way.y, 0.0, 1.0);
    } else if (NORMAL_TEXTURE) {
        moved.slope += way.xy;
    }
    return moved;
}

fn material_normal(material: Material, normal: vec3f, tangent: vec4f) -> vec3f {
    return bent_normal(normal, tangent, vec3f(material.slope, 1.0));
}
