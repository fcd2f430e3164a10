// Provides: smooth_silhouettes, which antialiases the picture; finish, which adds the backdrop and lines as well.
#include preview_scene
#include preview_picture
#include equirectangular

@group(0) @binding(5) var colors: texture_2d<f32>;
@group(0) @binding(6) var<storage, read_write> planes: array<u32>;
@group(0) @binding(7) var<storage, read> crossings: array<u32>; // as silhouettes.wgsl leaves them
@group(0) @binding(8) var<storage, read> touched: array<u32>;
@group(0) @binding(9) var backdrop: texture_2d<f32>;
@group(0) @binding(10) var around: sampler; // repeats in u
@group(0) @binding(11) var lines: texture_2d<f32>; // premultiplied, encoded

fn color_at(at: u32) -> vec4f {
    return textureLoad(colors, vec2u(at % view.size.x, at / view.size.x), 0);
}

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
    return share * (color_at(second) - color_at(first));
}

// The premultiplied colour of a pixel beside a silhouette.
fn smoothed(at: u32) -> vec4f {
    let width = view.size.x;
    let column = at % width;
    var color = color_at(at);
    if (column > 0u) {
        color += uncovered(at, at - 1u, at, 0u);
    }
    if (column + 1u < width) {
        color += uncovered(at, at, at + 1u, 0u);
    }
    if (at >= width) {
        color += uncovered(at, at - width, at, 1u);
    }
    if (at + width < width * view.size.y) {
        color += uncovered(at, at, at + width, 1u);
    }
    return color;
}

// One invocation per word of `touched`: few pixels lie beside a silhouette.
@compute @workgroup_size(64)
fn smooth_silhouettes(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let word = (group.y * groups.x + group.x) * 64u + local;
    if (word >= arrayLength(&touched)) {
        return;
    }
    for (var left = touched[word]; left != 0u; left &= left - 1u) {
        let at = word * 32u + countTrailingZeros(left);
        if (at < view.size.x * view.size.y) {
            planes[at] = pack4x8unorm(encoded(smoothed(at)));
        }
    }
}

// One invocation per pixel.
@compute @workgroup_size(16, 8)
fn finish(@builtin(global_invocation_id) id: vec3u) {
    if (any(id.xy >= view.size)) {
        return;
    }
    let at = id.y * view.size.x + id.x;
    let is_touched = view.is_smooth != 0u && ((touched[at / 32u] >> (at % 32u)) & 1u) != 0u;
    var color = vec4f(0.0);
    if (is_touched) {
        color = smoothed(at);
    } else {
        color = color_at(at);
    }
    if (view.has_backdrop != 0u && color.w < 1.0) {
        let away = vec3f((vec2f(id.xy) + 0.5 - view.centre) / view.focal, 1.0);
        let uv = uv_from_direction(normalize(view.backdrop_from_camera * away));
        color += (1.0 - color.w) * vec4f(textureSampleLevel(backdrop, around, uv, 0.0).xyz, 1.0);
    }
    var shown = encoded(color);
    if (view.has_lines != 0u) {
        let over = textureLoad(lines, id.xy, 0);
        shown = shown * (1.0 - over.w) + over;
    }
    planes[at] = pack4x8unorm(shown);
}
