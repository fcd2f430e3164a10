// Provides: normal_of, the shading normal at a hit, interpolated between vertices.
#include preview_scene

fn normal_of(hit: Hit, uv: mat3x2f) -> vec3f {
    let normal = vertex_value(hit, 0u).xyz;
    return normal * inverseSqrt(max(dot(normal, normal), 1e-20));
}
