// Provides: draw, which writes what every pixel sees: colour, depth, triangle and material.
#include preview_scene
#include material or material_vertex
#include display or display_shaded

@group(0) @binding(4) var numbers: texture_2d<u32>; // 0 = nothing, i + 1 = triangle i
@group(0) @binding(5) var<storage, read_write> colors: array<vec4f>; // premultiplied
// Planes of one value per pixel: the finished picture, depth (infinite = none), triangle, three of the material.
@group(0) @binding(6) var<storage, read_write> planes: array<u32>;

const INFINITE: u32 = 0x7f800000u;

@compute @workgroup_size(8, 8)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    if (any(id.xy >= view.size)) {
        return;
    }
    let count = view.size.x * view.size.y;
    let at = id.y * view.size.x + id.x;
    let number = textureLoad(numbers, id.xy, 0).x;
    planes[2u * count + at] = number;
    if (number == 0u) {
        planes[count + at] = INFINITE;
        colors[at] = vec4f(0.0);
        return;
    }
    let hit = hit_at(number - 1u, vec2f(id.xy) + 0.5);
    let surface = surface_of(hit);
    planes[count + at] = bitcast<u32>(hit.depth);
    planes[3u * count + at] = pack2x16unorm(surface.base_color.xy);
    planes[4u * count + at] = pack2x16unorm(vec2f(surface.base_color.z, surface.roughness));
    planes[5u * count + at] = pack2x16unorm(vec2f(surface.metallic, surface.occlusion));
    colors[at] = vec4f(displayed(hit, surface), 1.0);
}
