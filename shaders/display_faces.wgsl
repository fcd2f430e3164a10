// Provides: displayed, every triangle in its own colour.
#include face_marks
#include surface

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    return face_color(hit);
}
