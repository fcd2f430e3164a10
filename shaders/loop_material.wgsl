// Provides: Material, material_at, material_normal: a texture pyramid's values, perturbed in the steps of its groups.
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

// The texels read by the last look-up, each once: what the pixel is credited to.
var<private> material_tap: array<u32, 8>;
var<private> material_taps: u32;
var<private> material_levels: u32; // bits of the levels that they belong to

const COLOR_TEXTURE = GROUP == GROUP_BASE_COLOR;
const ROUGH_TEXTURE = GROUP == GROUP_ROUGHNESS_METALLIC;
const NORMAL_TEXTURE = GROUP == GROUP_NORMAL_MAP;

fn share_of(value: vec3f) -> vec3f {
    return clamp(value, vec3f(0.0), vec3f(1.0));
}

// A shading is promised values in [0,1]. Each texel is held there by itself: the difference is then that of a function
// of the texels alone, one-sided at the border, and no texel's depends on its neighbours. What is left is rounding.
fn look_up(uv: vec2f, level: u32, share: f32, side: f32, color: ptr<function, vec4f>, rest: ptr<function, vec4f>) {
    let corners = texture_corners(uv, now.texture_size, level);
    let reach = side * now.eps;
    for (var k = 0u; k < 4u; k++) {
        let texel = corners.index[k];
        let weight = share * corners.weight[k];
        if (weight == 0.0) {
            continue;
        }
        var first = color_texel(texel, level);
        var second = surface_texel(texel, level);
        if (COLOR_TEXTURE) {
            first = vec4f(share_of(first.xyz + reach * signs_at(now.key, texel)), first.w);
        } else if (ROUGH_TEXTURE) {
            let moved_by = reach * vec2f(sign_at(now.key, 2u * texel), sign_at(now.key, 2u * texel + 1u));
            first.w = clamp(first.w + moved_by.x, 0.0, 1.0);
            second.x = clamp(second.x + moved_by.y, 0.0, 1.0);
        } else if (NORMAL_TEXTURE) {
            second.y += reach * sign_at(now.key, 2u * texel);
            second.z += reach * sign_at(now.key, 2u * texel + 1u);
        }
        *color += weight * first;
        *rest += weight * second;
        let repeated = ((k & 1u) == 1u && texel == corners.index[k - 1u]) || (k > 1u && texel == corners.index[k - 2u]);
        if ((COLOR_TEXTURE || ROUGH_TEXTURE || NORMAL_TEXTURE) && side > 0.0 && !repeated) {
            material_tap[material_taps] = texel;
            material_taps++;
        }
    }
}

fn material_at(uv: vec2f, level: f32, side: f32) -> Material {
    var color = vec4f(0.0);
    var rest = vec4f(0.0);
    let place = clamp(level, 0.0, f32(now.levels - 1u));
    let low = u32(place);
    let blend = place - f32(low);
    material_levels = 1u << low;
    look_up(uv, low, 1.0 - blend, side, &color, &rest);
    if (blend > 0.0) {
        material_levels |= 2u << low;
        look_up(uv, low + 1u, blend, side, &color, &rest);
    }
    let scalars = share_of(vec3f(color.w, rest.x, rest.w));
    return Material(share_of(color.xyz), scalars.x, scalars.y, scalars.z, rest.yz);
}

fn material_normal(material: Material, normal: vec3f, tangent: vec4f) -> vec3f {
    return bent_normal(normal, tangent, vec3f(material.slope, 1.0));
}
