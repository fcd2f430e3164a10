// Provides: Corners, texture_corners, texture_level_size, texture_level_start, texture_levels: trilinear look-up.

// A pyramid lies in one buffer, level after level, each row by row; texel t of a texture of C channels begins at C t.
// The includer reads its own buffer: a value is the sum of weight[i] * texel[index[i]] over the corners of two levels.
struct Corners {
    index: vec4u, // of texels in the pyramid
    weight: vec4f,
}

// (width, height) of a level of a texture whose level 0 has `size`.
fn texture_level_size(size: vec2u, level: u32) -> vec2u {
    return max(size >> vec2u(level), vec2u(1u));
}

// Texels before a level.
fn texture_level_start(size: vec2u, level: u32) -> u32 {
    var start = 0u;
    for (var i = 0u; i < level; i++) {
        let fine = texture_level_size(size, i);
        start += fine.x * fine.y;
    }
    return start;
}

// Levels of the full pyramid, which ends at 1x1 or before an odd side would be halved.
fn texture_levels(size: vec2u) -> u32 {
    var levels = 1u;
    var side = size;
    while (any(side > vec2u(1u)) && !any((side > vec2u(1u)) & (side % 2u == vec2u(1u)))) {
        side = max(side >> vec2u(1u), vec2u(1u));
        levels++;
    }
    return levels;
}

// The four texels about uv (origin top-left, centres at + 0.5, clamped at the border) and their bilinear weights.
fn texture_corners(uv: vec2f, size: vec2u, level: u32) -> Corners {
    let side = texture_level_size(size, level);
    let place = uv * vec2f(side) - 0.5;
    let low = floor(place);
    let part = place - low;
    let last = vec2i(side) - 1;
    let first = vec2u(clamp(vec2i(low), vec2i(0), last));
    let second = vec2u(clamp(vec2i(low) + 1, vec2i(0), last));
    let start = texture_level_start(size, level);
    let upper = start + first.y * side.x;
    let lower = start + second.y * side.x;
    let rest = 1.0 - part;
    return Corners(
        vec4u(upper + first.x, upper + second.x, lower + first.x, lower + second.x),
        vec4f(rest.x * rest.y, part.x * rest.y, rest.x * part.y, part.x * part.y),
    );
}
