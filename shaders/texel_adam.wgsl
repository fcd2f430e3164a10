// Provides: texel_adam, one step of Adam on a group of a texture's channels, from the credit of all its pyramid levels.

// The credit rule took every level's texels as parameters of their own; a level is a mean of the one below, so that the
// gradient of a texel of level 0 is its own plus 4^-k of those of the texels that average it. Texels that nothing was
// credited to keep value and moments: most are not seen in a step, and their past would push them on. How often each
// has moved corrects its moments' bias.
#include loop_step
#include loop_credited

struct Rows {
    first: u32, // of level 0, where the buffers begin
    count: u32,
}

@group(0) @binding(2) var<storage, read_write> texels_color: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> texels_surface: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> mean: array<vec4f>; // w: how often the texel has moved
@group(0) @binding(5) var<storage, read_write> square: array<vec4f>;
@group(0) @binding(6) var<uniform> rows: Rows;

#constant MIN_ROUGHNESS = 0.05
#constant MAX_SLOPE = 1.5

fn signs_of_texel(texel: u32) -> vec3f {
    if (GROUP == GROUP_BASE_COLOR) {
        return signs_at(now.key, texel);
    }
    return vec3f(sign_at(now.key, 2u * texel), sign_at(now.key, 2u * texel + 1u), 0.0);
}

// One invocation per texel of the rows of level 0, columns along x.
@compute @workgroup_size(8, 8)
fn texel_adam(@builtin(global_invocation_id) id: vec3u) {
    let size = now.texture_size;
    if (id.x >= size.x || id.y >= rows.count) {
        return;
    }
    let place = vec2u(id.x, rows.first + id.y);
    let texel = id.y * size.x + id.x;
    let read = u32(sums[LEVELS_READ]);
    var gradient = vec3f(0.0);
    var touched = false;
    var start = 0u;
    var side = size;
    var share = 1.0;
    for (var level = 0u; level < now.levels; level++) {
        if ((read & (1u << level)) != 0u) {
            let other = start + min(place.y >> level, side.y - 1u) * side.x + min(place.x >> level, side.x - 1u);
            let sum = credit_of(other);
            if (sum != Amount(0)) {
                touched = true;
                gradient += share * f32(sum) * signs_of_texel(other);
            }
        }
        start += side.x * side.y;
        share *= select(0.5, 1.0, side.x == 1u) * select(0.5, 1.0, side.y == 1u);
        side = max(side >> vec2u(1u), vec2u(1u));
    }
    if (!touched) {
        return;
    }
    gradient *= 0.5 / (loop_scale() * now.eps * f32(view.size.x * view.size.y));
    let before = mean[texel];
    let times = before.w + 1.0;
    let first = mix(gradient, before.xyz, now.beta1);
    let second = mix(gradient * gradient, square[texel].xyz, now.beta2);
    mean[texel] = vec4f(first, times);
    square[texel] = vec4f(second, 0.0);
    let correction1 = 1.0 / (1.0 - pow(now.beta1, times));
    let correction2 = 1.0 / (1.0 - pow(now.beta2, times));
    let change = now.rate * correction1 * first / (sqrt(second * correction2) + 1e-20);
    var color = texels_color[texel];
    var rest = texels_surface[texel];
    if (GROUP == GROUP_BASE_COLOR) {
        color = vec4f(clamp(color.xyz - change, vec3f(0.0), vec3f(1.0)), color.w);
        texels_color[texel] = color;
    } else if (GROUP == GROUP_ROUGHNESS_METALLIC) {
        color.w = clamp(color.w - change.x, MIN_ROUGHNESS, 1.0);
        rest.x = clamp(rest.x - change.y, 0.0, 1.0);
        texels_color[texel] = color;
        texels_surface[texel] = rest;
    } else {
        let slope = clamp(rest.yz - change.xy, vec2f(-MAX_SLOPE), vec2f(MAX_SLOPE));
        texels_surface[texel] = vec4f(rest.x, slope, rest.w);
    }
}
