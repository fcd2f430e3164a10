// Provides: shade, the shading that shows the base colour as it is, unlit.
#include surface

fn shade(surface: Surface) -> vec3f {
    return surface.base_color;
}
