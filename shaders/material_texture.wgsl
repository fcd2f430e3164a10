// Provides: surface_of, the surface at a hit of a mesh with textures; its normal is that of `normal_source`.
#include surface
#include preview_maps
#include normal_source or normal_vertex

@group(0) @binding(8) var base_color_map: texture_2d<f32>;
@group(0) @binding(9) var packed_map: texture_2d<f32>; // occlusion, roughness, metallic

fn surface_of(hit: Hit) -> Surface {
    let uv = corner_uvs(hit);
    let color = map_value(base_color_map, hit, uv);
    let packed = map_value(packed_map, hit, uv);
    let place = uv * hit.place.weights;
    let normal = normal_of(hit, uv, vertex_values(hit)[0].xyz);
    return Surface(hit.position, normal, hit.toward, color, packed.y, packed.z, packed.x, place, hit.pixel);
}
