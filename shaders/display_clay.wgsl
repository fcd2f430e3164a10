// Provides: displayed, matt clay under the light.
#include preview_scene
#include pbr
#constant CLAY = 0.8 // its base colour

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    var clay = surface;
    clay.base_color = vec3f(CLAY);
    clay.roughness = 1.0;
    clay.metallic = 0.0;
    return shade_parts(clay).diffuse;
}
