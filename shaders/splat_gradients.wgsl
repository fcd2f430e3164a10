// Provides: Gradients, store, rotation_backward, color_backward, turn_backward: what the gradients of all kinds share.
#include splat_harmonics
#include splat_view

@group(0) @binding(2) var<storage, read> harmonics: array<f32>; // [N,terms,3]
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>; // [N,20], in the order of Gradients
@group(0) @binding(8) var<storage, read_write> d_harmonics: array<f32>; // [N,terms,3]

const ROW: u32 = 20u;

struct Gradients {
    mean: vec3f,
    rotation: vec4f,
    log_scales: vec3f,
    logit: f32,
    shape: f32,
    centre: vec2f,
    fourth: f32, // channel
    turn: vec3f, // of the camera about its centre
    focal: vec2f,
}

fn store(i: u32, d: Gradients) {
    let row = ROW * i;
    for (var k = 0u; k < 3u; k++) {
        gradients[row + k] = d.mean[k];
        gradients[row + 7u + k] = d.log_scales[k];
        gradients[row + 15u + k] = d.turn[k];
    }
    for (var k = 0u; k < 4u; k++) {
        gradients[row + 3u + k] = d.rotation[k];
    }
    gradients[row + 10u] = d.logit;
    gradients[row + 11u] = d.shape;
    gradients[row + 12u] = d.centre.x;
    gradients[row + 13u] = d.centre.y;
    gradients[row + 14u] = d.fourth;
    gradients[row + 18u] = d.focal.x;
    gradients[row + 19u] = d.focal.y;
}

// The gradient of a quaternion of any length from that of its rotation, whose columns are `d`.
fn rotation_backward(q: vec4f, inverse_length: f32, d: mat3x3f) -> vec4f {
    let w = q.x;
    let x = q.y;
    let y = q.z;
    let z = q.w;
    let turn = vec3f(d[1].z - d[2].y, d[2].x - d[0].z, d[0].y - d[1].x);
    let both = vec3f(d[1].z + d[2].y, d[2].x + d[0].z, d[0].y + d[1].x);
    let to_unit = 2.0 * vec4f(
        dot(q.yzw, turn),
        w * turn.x + y * both.z + z * both.y - 2.0 * x * (d[1].y + d[2].z),
        w * turn.y + x * both.z + z * both.x - 2.0 * y * (d[0].x + d[2].z),
        w * turn.z + x * both.y + y * both.x - 2.0 * z * (d[0].x + d[1].y),
    );
    return (to_unit - dot(q, to_unit) * q) * inverse_length;
}

// Fills the used terms of `d_harmonics`; the gradient of the mean. A channel clamped at 0 has none.
fn color_backward(i: u32, mean: vec3f, d_color: vec3f) -> vec3f {
    let toward = mean - view.position.xyz;
    let scale = 1.0 / max(length(toward), 1e-20);
    let direction = toward * scale;
    let used = (view.degree + 1u) * (view.degree + 1u);
    var values: array<f32, 16>;
    var weights: array<f32, 16>;
    harmonic_basis(direction, view.degree, &values);
    var color = vec3f(0.5);
    for (var term = 0u; term < used; term++) {
        let at = 3u * (view.terms * i + term);
        color += values[term] * vec3f(harmonics[at], harmonics[at + 1u], harmonics[at + 2u]);
    }
    let slope = select(vec3f(0.0), d_color, color > vec3f(0.0));
    for (var term = 0u; term < used; term++) {
        let at = 3u * (view.terms * i + term);
        weights[term] = dot(vec3f(harmonics[at], harmonics[at + 1u], harmonics[at + 2u]), slope);
        d_harmonics[at] = values[term] * slope.x;
        d_harmonics[at + 1u] = values[term] * slope.y;
        d_harmonics[at + 2u] = values[term] * slope.z;
    }
    let d = harmonic_slope(direction, view.degree, &weights);
    return (d - dot(d, direction) * direction) * scale;
}

// A camera that turns about its centre turns splats the other way around it; their colours stay. `d_mean` is without
// what comes by way of the colour.
fn turn_backward(mean: vec3f, q: vec4f, d_mean: vec3f, d_q: vec4f) -> vec3f {
    return -cross(mean - view.position.xyz, d_mean) - 0.5 * (q.x * d_q.yzw - d_q.x * q.yzw + cross(q.yzw, d_q.yzw));
}
