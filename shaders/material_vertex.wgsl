// Provides: surface_of, the surface at a hit of a mesh whose vertices carry base colour, roughness and metallic.
#include surface
#include normal_vertex

fn surface_of(hit: Hit) -> Surface {
    let own = vertex_values(hit);
    let normal = normal_of(hit, mat3x2f(), own[0].xyz);
    let color = own[1].xyz;
    return Surface(hit.position, normal, hit.toward, color, own[0].w, own[1].w, 1.0, vec2f(0.0), hit.pixel);
}
