// Provides: DiscAxes, disc_axes_of: a disc's axes seen from the camera.
#include splat_footprint

const LEAST_SCALE: f32 = 1e-15;

struct DiscAxes {
    unit: vec4f, // quaternion w x y z of length one
    inverse_length: f32,
    u: vec3f, // of length one
    v: vec3f,
    normal: vec3f,
    scales: vec2f,
}

fn disc_axes_of(splat: Splat) -> DiscAxes {
    let inverse_length = 1.0 / max(sqrt(dot(splat.rotation, splat.rotation)), 1e-20);
    let unit = splat.rotation * inverse_length;
    let turned = rotation_of(unit);
    let u = rotated(turned[0]);
    let v = rotated(turned[1]);
    return DiscAxes(unit, inverse_length, u, v, cross(u, v), max(exp(splat.log_scales.xy), vec2f(LEAST_SCALE)));
}
