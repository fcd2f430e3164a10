// Provides: displayed, the triangles' edges over the surface as `shading` makes it.
#include face_marks
#include shading or pbr

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    return with_edges(hit, shade(surface));
}
