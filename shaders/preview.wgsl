// Provides: picture_corner and draw, a pass over the picture that says what every covered pixel sees.
#include preview_scene
#include material or material_vertex
#include display or display_shaded
#include preview_picture

@group(0) @binding(4) var numbers: texture_2d<u32>; // 0 = nothing, i + 1 = triangle i
// Planes of one value per pixel: the finished picture, depth (infinite = none), triangle.
@group(0) @binding(5) var<storage, read_write> planes: array<u32>;
// Three more, apart from them so that larger pictures fit into one binding.
@group(0) @binding(6) var<storage, read_write> material: array<u32>;

// One triangle over the picture.
@vertex
fn picture_corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    return vec4f(select(-1.0, 3.0, index == 1u), select(-1.0, 3.0, index == 2u), 0.0, 1.0);
}

// The colour, linear or encoded as the view says; what covers nothing is left as it is.
@fragment
fn draw(@builtin(position) pixel: vec4f) -> @location(0) vec4f {
    let place = vec2u(pixel.xy);
    let count = view.size.x * view.size.y;
    let at = place.y * view.size.x + place.x;
    let number = textureLoad(numbers, place, 0).x;
    if (number == 0u) {
        discard;
    }
    let hit = hit_at(number - 1u, pixel.xy);
    let surface = surface_of(hit);
    planes[count + at] = bitcast<u32>(hit.depth);
    planes[2u * count + at] = number;
    material[at] = pack2x16unorm(surface.base_color.xy);
    material[count + at] = pack2x16unorm(vec2f(surface.base_color.z, surface.roughness));
    material[2u * count + at] = pack2x16unorm(vec2f(surface.metallic, surface.occlusion));
    let color = vec4f(min(displayed(hit, surface), vec3f(LARGEST)), 1.0);
    planes[at] = pack4x8unorm(encoded(color));
    return color;
}
