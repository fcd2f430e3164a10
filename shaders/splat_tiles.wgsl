// Provides: Ellipse, PackedEllipse, ellipse_of, packed, touches: what an ellipse covers, and whether it reaches a tile.
#include splat_view

// a, b, c: the squared Mahalanobis distance q is (a dx + b dy)^2 + (c dy)^2; reach: q at which alpha is least.
struct Ellipse {
    centre: vec2f,
    ab: vec2f,
    c: f32,
    opacity: f32,
    reach: f32,
    shape: f32,
}

struct PackedEllipse { // in the order of Ellipse, loaded as two rather than as eight
    first: vec4f,
    second: vec4f,
}

fn ellipse_of(two: PackedEllipse) -> Ellipse {
    let rest = two.second;
    return Ellipse(two.first.xy, two.first.zw, rest.x, rest.y, rest.z, rest.w);
}

fn packed(whole: Ellipse) -> PackedEllipse {
    return PackedEllipse(vec4f(whole.centre, whole.ab), vec4f(whole.c, whole.opacity, whole.reach, whole.shape));
}

const SLACK: f32 = 1.001; // of the reach, for rounding and for what drivers make of logarithms

fn distance_at(ellipse: Ellipse, x: f32, y: f32) -> f32 {
    let u = ellipse.ab.x * x + ellipse.ab.y * y;
    let v = ellipse.c * y;
    return u * u + v * v;
}

// Whether one of a tile's pixel centres may lie within the reach.
fn touches(ellipse: Ellipse, column: u32, row: u32) -> bool {
    let low = vec2f(f32(SIDE * column), f32(SIDE * row)) + 0.5 - ellipse.centre;
    let high = low + f32(SIDE - 1u);
    if (all(low <= vec2f(0.0)) && all(high >= vec2f(0.0))) {
        return true;
    }
    let a = ellipse.ab.x;
    let b = ellipse.ab.y;
    let fall = -a * b / (b * b + ellipse.c * ellipse.c);
    let lean = -b / a;
    let least = min(
        min(
            distance_at(ellipse, low.x, clamp(fall * low.x, low.y, high.y)),
            distance_at(ellipse, high.x, clamp(fall * high.x, low.y, high.y)),
        ),
        min(
            distance_at(ellipse, clamp(lean * low.y, low.x, high.x), low.y),
            distance_at(ellipse, clamp(lean * high.y, low.x, high.x), high.y),
        ),
    );
    return least <= ellipse.reach * SLACK;
}
