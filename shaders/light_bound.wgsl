// Provides: light_bound, which makes all of bind group 1 part of the pipeline whatever the shading reads of it.
#include environment

fn light_bound() -> vec2f {
    return vec2f(light_texels[0].x, f32(light.height));
}
