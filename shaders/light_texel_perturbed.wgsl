// Provides: light_texels and light_texel, perturbed by a share of itself, and what was read: light_side, light_tap.
#include loop_step

@group(1) @binding(0) var<storage, read> light_texels: array<vec4f>;

const LIGHT_TAPS = 32u; // a shading may read so many texels of the light per side, six times what the split sum does

var<private> light_side: f32;
var<private> light_tap: array<u32, 64>;
var<private> light_taps: u32; // listed so far
var<private> light_reads: u32; // asked for, listed or not

fn light_texel(index: u32) -> vec3f {
    light_reads++;
    if (light_taps < 2u * LIGHT_TAPS) {
        light_tap[light_taps] = index;
        light_taps++;
    }
    return light_texels[index].xyz * (1.0 + light_side * now.eps * signs_at(now.key, index));
}
