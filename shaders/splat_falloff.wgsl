// Provides: Falloff, falloff: how opaque an ellipse is at four pixels of a column.
#include splat_blend
#include splat_tiles

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
