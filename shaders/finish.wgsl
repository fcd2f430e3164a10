// Provides: finish, the picture in eight bits from drawn colours: antialiased, before the backdrop, exposed, encoded.
#include preview_scene
#include equirectangular
#include tone_map

@group(0) @binding(5) var<storage, read> colors: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> planes: array<u32>;
@group(0) @binding(7) var<storage, read> crossings: array<u32>; // as silhouettes.wgsl leaves them
@group(0) @binding(8) var backdrop: texture_2d<f32>;
@group(0) @binding(9) var around: sampler; // repeats in u
@group(0) @binding(10) var lines: texture_2d<f32>; // premultiplied, encoded

fn depth_at(at: u32) -> f32 {
    return bitcast<f32>(planes[view.size.x * view.size.y + at]);
}

// What the pixel `target_pixel` gains from the silhouette between pixels `first` and `second` of its row or column.
fn uncovered(target_pixel: u32, first: u32, second: u32, axis: u32) -> vec4f {
    let slot = 2u * (2u * first + axis);
    let backward = crossings[slot]; // the surface lies on the second pixel
    let forward = crossings[slot + 1u];
    if ((backward | forward) == 0u) {
        return vec4f(0.0);
    }
    let is_forward = backward == 0u || (forward != 0u && depth_at(first) < depth_at(second));
    let chosen = select(backward, forward, is_forward);
    let reach = (f32(chosen >> 16u) - 1.0) / 65534.0;
    let share = (0.5 - select(1.0 - reach, reach, is_forward)) * f32(chosen & 0xffffu) / 65535.0;
    if (target_pixel != select(second, first, share > 0.0)) {
        return vec4f(0.0);
    }
    return share * (colors[second] - colors[first]);
}

@compute @workgroup_size(8, 8)
fn finish(@builtin(global_invocation_id) id: vec3u) {
    if (any(id.xy >= view.size)) {
        return;
    }
    let width = view.size.x;
    let at = id.y * width + id.x;
    var color = colors[at];
    if (view.is_smooth != 0u) {
        if (id.x > 0u) {
            color += uncovered(at, at - 1u, at, 0u);
        }
        if (id.x + 1u < width) {
            color += uncovered(at, at, at + 1u, 0u);
        }
        if (id.y > 0u) {
            color += uncovered(at, at - width, at, 1u);
        }
        if (id.y + 1u < view.size.y) {
            color += uncovered(at, at, at + width, 1u);
        }
    }
    if (view.has_backdrop != 0u && color.w < 1.0) {
        let away = vec3f((vec2f(id.xy) + 0.5 - view.centre) / view.focal, 1.0);
        let uv = uv_from_direction(normalize(view.backdrop_from_camera * away));
        color += (1.0 - color.w) * vec4f(textureSampleLevel(backdrop, around, uv, 0.0).xyz, 1.0);
    }
    let alpha = clamp(color.w, 0.0, 1.0);
    var straight = clamp(color.xyz * (view.gain / max(alpha, 1e-6)), vec3f(0.0), vec3f(1.0));
    if (view.is_linear != 0u) {
        straight = srgb_from_linear(straight);
    }
    var shown = vec4f(straight * alpha, alpha);
    if (view.has_lines != 0u) {
        let over = textureLoad(lines, id.xy, 0);
        shown = shown * (1.0 - over.w) + over;
    }
    planes[at] = pack4x8unorm(shown);
}
