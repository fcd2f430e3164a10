// Provides: shade, the base colour in the light of one lamp and a sky that is brighter above: matt, without tables.
#include surface

const LAMP_TOWARD = vec3f(0.408, 0.816, 0.408); // world direction toward the lamp, about unit

fn shade(surface: Surface) -> vec3f {
    let sky = 0.35 + 0.15 * surface.normal.y;
    return (sky + 0.6 * max(dot(surface.normal, LAMP_TOWARD), 0.0)) * surface.base_color;
}
