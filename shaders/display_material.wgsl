// Provides: displayed, one property of the surface: 0 base colour, 1 roughness, 2 metallic, 3 normal.
#include preview_scene
#include surface
#constant PROPERTY = 0

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    switch PROPERTY {
        case 0: { return surface.base_color; }
        case 1: { return vec3f(surface.roughness); }
        case 2: { return vec3f(surface.metallic); }
        default: { return 0.5 * surface.normal + 0.5; }
    }
}
