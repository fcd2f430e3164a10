// Provides: encoded, a premultiplied colour as the picture shows it: exposed, clipped, sRGB.
#include preview_scene
#include tone_map

const LARGEST: f32 = 65504.0; // a half holds

fn encoded(color: vec4f) -> vec4f {
    let alpha = clamp(color.w, 0.0, 1.0);
    var straight = clamp(color.xyz * (view.gain / max(alpha, 1e-6)), vec3f(0.0), vec3f(1.0));
    if (view.is_linear != 0u) {
        straight = srgb_from_linear(straight);
    }
    return vec4f(straight * alpha, alpha);
}
