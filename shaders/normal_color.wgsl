// Provides: shade, the shading that shows the normal as a colour: n / 2 + 1 / 2 per world axis.
#include surface

fn shade(surface: Surface) -> vec3f {
    return 0.5 * surface.normal + 0.5;
}
