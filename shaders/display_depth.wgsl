// Provides: displayed, the depth as a colour of a ramp, near at its end.
#include preview_scene
#include surface

@group(0) @binding(13) var<uniform> ramp: array<vec4f, 256>;

fn displayed(hit: Hit, surface: Surface) -> vec3f {
    let span = max(view.depth_range.y - view.depth_range.x, 1e-12);
    let share = clamp((view.depth_range.y - hit.depth) / span, 0.0, 1.0);
    return ramp[u32(round(share * 255.0))].xyz;
}
