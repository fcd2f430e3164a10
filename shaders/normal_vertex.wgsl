// Provides: normal_of, the shading normal at a hit, interpolated between vertices.
#include preview_scene

fn normal_of(hit: Hit, uv: mat3x2f, vertex_normal: vec3f) -> vec3f {
    return vertex_normal * inverseSqrt(max(dot(vertex_normal, vertex_normal), 1e-20));
}
