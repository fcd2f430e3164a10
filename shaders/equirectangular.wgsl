// Provides: uv_from_direction, the place of a direction in an equirectangular map; the map's own frame, y up.

const HALF_PI: f32 = 1.5707964;
const INVERSE_PI: f32 = 0.31830987;

// atan2(y, x), a Chebyshev fit within 5e-7 radian; the built-in one may be off by 4096 units in the last place.
fn angle_of(y: f32, x: f32) -> f32 {
    let wide = abs(x);
    let tall = abs(y);
    let ratio = min(wide, tall) / max(max(wide, tall), 1e-20);
    let square = ratio * ratio;
    var value = -0.03689905 + square * 0.00782557;
    value = -0.13480456 + square * (0.08374224 + square * value);
    value = ratio * (0.99999933 + square * (-0.33326377 + square * (0.19879890 + square * value)));
    value = select(value, HALF_PI - value, tall > wide);
    value = select(value, 2.0 * HALF_PI - value, x < 0.0);
    return select(value, -value, y < 0.0);
}

// (u, v) in [0,1] of a direction of any length, u around from the seam behind, v from the upper pole down.
fn uv_from_direction(direction: vec3f) -> vec2f {
    let around = direction.x * direction.x + direction.z * direction.z;
    let pole = around < 1e-12;
    let x = select(direction.x, 0.0, pole);
    let z = select(direction.z, -1.0, pole);
    let ring = sqrt(max(around, 1e-12));
    return vec2f(angle_of(x, -z) * (0.5 * INVERSE_PI) + 0.5, angle_of(ring, direction.y) * INVERSE_PI);
}
