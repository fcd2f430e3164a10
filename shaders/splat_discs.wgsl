// Provides: Disc, PackedDisc, disc_of, packed_disc, disc_reaches: what rays meet of discs, and in which tiles.
#include splat_tiles

// A ray that passes the mean at d pixels meets the plane at (u, v) = (U, V) / D scales from the mean: U and V are
// multiples of d, and D, the ray's product with the normal, is linear in it (Huang et al. 2024, arXiv 2403.17888).
struct Disc {
    centre: vec2f,
    depth: f32, // of the mean
    facing: f32, // D at d = 0
    to_u: vec2f, // U is the product of d and it
    to_v: vec2f,
    to_facing: vec2f, // D at d, less that at 0
    lean: vec2f, // how much deeper the plane is at u = 1, and at v = 1
    bound: Ellipse, // of what is met; its a is 0 where nothing bounds it
}

struct PackedDisc { // in the order of Disc
    first: vec4f,
    second: vec4f,
    third: vec4f,
    bound: PackedEllipse,
}

fn disc_of(p: PackedDisc) -> Disc {
    let bound = ellipse_of(p.bound);
    return Disc(p.first.xy, p.first.z, p.first.w, p.second.xy, p.second.zw, p.third.xy, p.third.zw, bound);
}

fn packed_disc(d: Disc) -> PackedDisc {
    let first = vec4f(d.centre, d.depth, d.facing);
    return PackedDisc(first, vec4f(d.to_u, d.to_v), vec4f(d.to_facing, d.lean), packed(d.bound));
}

const RADIUS: f32 = 10.606601717798213; // pixels from a tile's centre to its farthest pixel's

// Whether the disc or its screen filter reaches one of a tile's pixel centres; sometimes also where neither does.
fn disc_reaches(disc: Disc, column: u32, row: u32) -> bool {
    let reach = disc.bound.reach * SLACK;
    let low = vec2f(f32(SIDE * column), f32(SIDE * row)) + 0.5 - disc.centre;
    let away = max(max(low, -(low + f32(SIDE - 1u))), vec2f(0.0));
    if (dot(away, away) <= 0.5 * reach) {
        return true;
    }
    if (disc.bound.ab.x > 0.0) {
        return touches(disc.bound, column, row);
    }
    // |(U, V)| less the root of the reach times D is convex, and changes no faster than `rate`.
    let middle = low + 0.5 * f32(SIDE - 1u);
    let root = sqrt(reach);
    let meets = vec2f(dot(disc.to_u, middle), dot(disc.to_v, middle));
    let least = length(meets) - root * abs(disc.facing + dot(disc.to_facing, middle));
    let rate = sqrt(dot(disc.to_u, disc.to_u) + dot(disc.to_v, disc.to_v)) + root * length(disc.to_facing);
    return least <= rate * RADIUS * SLACK;
}
