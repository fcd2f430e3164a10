// Provides: hand_down, texel_adam: one step of Adam on a group of a texture's channels, from all its levels' credit.

// The credit rule took every level's texels as parameters of their own; a level is a mean of the one below, so that the
// gradient of a texel of level 0 is its own plus 4^-k of those of the texels that average it. Texels that nothing was
// credited to keep value and moments: most are not seen in a step, and their past would push them on. How often each
// has moved corrects its moments' bias.
#include loop_step
#include loop_credited
#include loop_channels_read or loop_channels_read_joint

struct Rows {
    first: u32, // of level 0, where the buffers begin
    count: u32,
    @align(16) levels: array<vec4u, 16>, // first texel, width, height, bits of the share of a texel of level 0
}

@group(0) @binding(2) var<storage, read_write> texels_color: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> texels_surface: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> mean: array<vec4f>; // w: how often the texel has moved
@group(0) @binding(5) var<storage, read_write> square: array<vec4f>;
@group(0) @binding(6) var<uniform> rows: Rows;
// Of the texels of level COARSE, what it and the levels above it say; w: 1 where anything was credited to them.
@group(0) @binding(7) var<storage, read_write> coarse: array<vec4f>;

const COARSE = 3u; // the texels of level 0 are many, and nearly always alike in what is above

#constant MIN_ROUGHNESS = 0.05
#constant MAX_SLOPE = 1.5

// What the levels of `left` (bits) from `first` on say of the texel at `place` in level `first`; w: 1 where they do.
fn told(left: u32, place: vec2u, first: u32) -> vec4f {
    var found = vec4f(0.0);
    for (var bits = left; bits != 0u; bits &= bits - 1u) {
        let level = firstTrailingBit(bits);
        let own = rows.levels[level];
        let at = min(place >> vec2u(level - first), own.yz - 1u);
        let sum = channels_of(own.x + at.y * own.y + at.x);
        found += vec4f(bitcast<f32>(own.w) * vec3f(sum), select(0.0, 1.0, any(sum != vec3<Amount>(Amount(0)))));
    }
    return vec4f(found.xyz, min(found.w, 1.0));
}

// One invocation per texel of level COARSE, columns along x.
@compute @workgroup_size(8, 8)
fn hand_down(@builtin(global_invocation_id) id: vec3u) {
    let size = rows.levels[COARSE].yz;
    if (all(id.xy < size)) {
        coarse[id.y * size.x + id.x] = told((u32(sums[LEVELS_READ]) >> COARSE) << COARSE, id.xy, COARSE);
    }
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
    var all_told = told(u32(sums[LEVELS_READ]) & ((1u << COARSE) - 1u), place, 0u);
    if (now.levels > COARSE) {
        let own = rows.levels[COARSE];
        let at = min(place >> vec2u(COARSE), own.yz - 1u);
        all_told += coarse[at.y * own.y + at.x];
    }
    if (all_told.w == 0.0) {
        return;
    }
    let gradient = all_told.xyz * (0.5 / (loop_scale() * now.eps * f32(view.size.x * view.size.y)));
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
