// Provides: surface_of, the surface at a hit of a mesh whose vertices carry base colour, roughness and metallic.
#include surface
#include normal_vertex

fn surface_of(hit: Hit) -> Surface {
    let own = vertex_value(hit, 1u);
    let roughness = vertex_value(hit, 0u).w;
    let normal = normal_of(hit, mat3x2f());
    return Surface(hit.position, normal, hit.toward, own.xyz, roughness, own.w, 1.0, vec2f(0.0), hit.pixel);
}
