// Provides: background, the sharp light seen along a world direction: level 0 of the prefiltered light.
#include environment

fn background(direction: vec3f) -> vec3f {
    return light_from(0u, light.environment_from_world * direction);
}
