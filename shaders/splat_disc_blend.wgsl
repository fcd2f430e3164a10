// Provides: Meeting, meeting: where the rays of four pixels of a column meet a disc, and how opaque it is there.
#include splat_blend
#include splat_discs

const FAR: f32 = 1e30;
const FARTHEST: f32 = 1e15; // scales from the mean

struct Meeting {
    u: vec4f,
    v: vec4f,
    inverse: vec4f, // 1 / D
    hit: vec4<bool>, // else the screen filter counts (arXiv 2403.17888, eq. 11), or the ray meets the plane too near
    depth: vec4f,
    raw: vec4f, // alpha before it is clamped
}

fn meeting(disc: Disc, dx: f32, dy: vec4f) -> Meeting {
    let facing = disc.facing + disc.to_facing.x * dx + disc.to_facing.y * dy;
    let meets = abs(facing) > vec4f(1e-30);
    let inverse = 1.0 / select(vec4f(1.0), facing, meets);
    let u = clamp((disc.to_u.x * dx + disc.to_u.y * dy) * inverse, vec4f(-FARTHEST), vec4f(FARTHEST));
    let v = clamp((disc.to_v.x * dx + disc.to_v.y * dy) * inverse, vec4f(-FARTHEST), vec4f(FARTHEST));
    let depth = disc.depth + disc.lean.x * u + disc.lean.y * v;
    let filtered = 2.0 * (dx * dx + dy * dy);
    let met = select(vec4f(FAR), u * u + v * v, meets & (depth > vec4f(NEAR)));
    let hit = met <= filtered;
    let raw = disc.bound.opacity * exp2(max(min(met, filtered) * -HALF_LOG2E, vec4f(-126.0)));
    return Meeting(u, v, inverse, hit, select(vec4f(disc.depth), depth, hit), raw);
}
