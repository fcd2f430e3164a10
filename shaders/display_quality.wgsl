// Provides: displayed, every triangle in its own colour with its edges over it.
#include face_marks
#include surface

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    return with_edges(hit, face_color(hit));
}
