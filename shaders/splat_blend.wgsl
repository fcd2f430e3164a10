// Provides: Pixels, falloff, blending_weight: how one splat is blended into four pixels of a column.
#include splat_tiles

const CLOSED: f32 = 1e30; // the least alpha of a pixel that takes no more splats
const HALF_LOG2E: f32 = 0.7213475204444817;

struct Pixels {
    least: vec4f, // alpha that is blended
    clear: vec4f, // transmittance
    color: mat4x4f, // columns: red, green, blue and the fourth channel of four pixels
}

// Squared distances, and for exponentials their powers and logarithms.
struct Falloff {
    u: vec4f,
    q: vec4f,
    power: vec4f,
    logarithm: vec4f,
    raw: vec4f, // alpha before it is clamped
}

fn falloff(ellipse: Ellipse, dx: f32, dy: vec4f) -> Falloff {
    let u = ellipse.ab.x * dx + ellipse.ab.y * dy;
    let v = ellipse.c * dy;
    var q = u * u + v * v;
    var power = q;
    var logarithm = vec4f(0.0);
    if (EXPONENTIAL) {
        q = max(q, vec4f(1e-30));
        logarithm = log2(q);
        power = exp2(clamp(logarithm * (0.5 * ellipse.shape), vec4f(-126.0), vec4f(60.0)));
    }
    return Falloff(u, q, power, logarithm, ellipse.opacity * exp2(max(power * -HALF_LOG2E, vec4f(-126.0))));
}

// Four pixels of the column `x` from row `y` on; those beyond the image are closed.
fn open_pixels(x: u32, y: u32) -> vec4f {
    let within = vec4u(y, y + 1u, y + 2u, y + 3u) < vec4u(view.size.y);
    return select(vec4f(CLOSED), vec4f(ALPHA_MIN), within & vec4<bool>(x < view.size.x));
}

fn are_closed(a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> bool {
    let least = min(min(a, b), min(c, d));
    return min(min(least.x, least.y), min(least.z, least.w)) == CLOSED;
}
