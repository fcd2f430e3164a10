// Provides: surface_at, what a pixel shows of the triangle `id` - 1, and surface_moved, the same of another material.
#include loop_step
#include fragment
#include loop_tables
#include loop_material or loop_material_plain

// Sections of `stride` entries as perturb_vertices writes them; the tangents of the normal map come after them.
@group(0) @binding(2) var<storage, read> moved: array<vec4f>;

// Of the last surface.
var<private> surface_material: Material;
var<private> surface_normal: vec3f; // as interpolated
var<private> surface_tangent: vec4f;

// `section` is 0 for the vertices at theta + eps s, 1 for those at theta - eps s.
fn surface_at(id: u32, pixel: vec2f, section: u32) -> Surface {
    let a = triangle_corner(id - 1u, 0u);
    let b = triangle_corner(id - 1u, 1u);
    let c = triangle_corner(id - 1u, 2u);
    let clip = section * now.stride;
    let found = fragment_at(moved[clip + a.x], moved[clip + b.x], moved[clip + c.x], pixel, vec2f(view.size));
    let w = found.weights;
    let place = (section + 2u) * now.stride;
    let turn = (section + 4u) * now.stride;
    let position = w.x * moved[place + a.x].xyz + w.y * moved[place + b.x].xyz + w.z * moved[place + c.x].xyz;
    let normal = w.x * moved[turn + a.x].xyz + w.y * moved[turn + b.x].xyz + w.z * moved[turn + c.x].xyz;
    let uv_a = bitcast<vec2f>(a.yz);
    let uv_b = bitcast<vec2f>(b.yz);
    let uv_c = bitcast<vec2f>(c.yz);
    let uv = w.x * uv_a + w.y * uv_b + w.z * uv_c;
    let level = footprint_level(found, uv_a, uv_b, uv_c, vec2f(now.texture_size));
    let tangents = 6u * now.stride;
    let tangent = w.x * moved[tangents + a.w] + w.y * moved[tangents + b.w] + w.z * moved[tangents + c.w];
    let material = material_at(uv, level);
    surface_material = material;
    surface_normal = normal;
    surface_tangent = tangent;
    return Surface(
        position,
        material_normal(material, normal, tangent),
        normalize(view.position.xyz - position),
        material.base_color,
        material.roughness,
        material.metallic,
        material.occlusion,
        uv,
        pixel,
    );
}

// `surface`, the last one, where the channels of the step's group are moved by `way`.
fn surface_moved(surface: Surface, way: vec3f) -> Surface {
    let material = material_moved(surface_material, way);
    var moved = surface;
    moved.base_color = material.base_color;
    moved.roughness = material.roughness;
    moved.metallic = material.metallic;
    if (GROUP == GROUP_NORMAL_MAP) {
        moved.normal = material_normal(material, surface_normal, surface_tangent);
    }
    return moved;
}
