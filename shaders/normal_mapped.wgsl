// Provides: normal_of, the shading normal at a hit, bent by a tangent-space normal map.
#include preview_maps
#include normal_map

@group(0) @binding(11) var normal_texture: texture_2d<f32>;

fn normal_of(hit: Hit, uv: mat3x2f, vertex_normal: vec3f) -> vec3f {
    let weights = hit.place.weights;
    let tangent = vec4f(corner_value(hit, 1u) * weights, corner_value(hit, 2u) * weights);
    return bent_normal(vertex_normal, tangent, map_value(normal_texture, hit, uv));
}
