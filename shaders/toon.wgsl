// Provides: shade, a cel shading: light in three flat bands and a dark outline.
#include surface

const TOON_LIGHT = vec3f(0.408, 0.816, 0.408); // world direction toward the lamp, about unit
const TOON_RAMP = vec3f(0.25, 0.6, 1.0); // share of the base colour in shadow, half light and light
const TOON_STEPS = vec2f(0.0, 0.5); // cosines to the light at which the bands change
const TOON_OUTLINE = 0.2; // cosine to the camera below which the outline is drawn

fn shade(surface: Surface) -> vec3f {
    if (dot(surface.normal, surface.toward) < TOON_OUTLINE) {
        return vec3f(0.02);
    }
    let cosine = dot(surface.normal, TOON_LIGHT);
    var share = TOON_RAMP.x;
    if (cosine > TOON_STEPS.x) {
        share = TOON_RAMP.y;
    }
    if (cosine > TOON_STEPS.y) {
        share = TOON_RAMP.z;
    }
    return share * surface.base_color;
}
