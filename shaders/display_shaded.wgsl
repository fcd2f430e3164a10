// Provides: displayed, the surface with its materials under the light: what `shading` makes of it.
#include preview_scene
#include shading or pbr

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    return shade(surface);
}
