// Provides: project_splats_backward: the gradients of the parameters from the sums of compositing.
#include splat_footprint
#include splat_harmonics
#include splat_tiles

@group(0) @binding(2) var<storage, read> harmonics: array<f32>; // [N,terms,3]
@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> slots: array<vec2u>; // first, count; none: not seen
@group(0) @binding(5) var<storage, read> sums: array<vec4f>; // [slots,2]
@group(0) @binding(6) var<storage, read> feature_sums: array<vec4f>; // [slots]
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>; // [N,20]: see ROW
@group(0) @binding(8) var<storage, read_write> d_harmonics: array<f32>; // [N,terms,3]

const ROW: u32 = 20u; // geometry, centre, fourth channel, and of the camera: its turn about its centre, fx, fy

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

// d q is the gradient of the squared distance (a dx + b dy)^2 + (c dy)^2. With W = (a b; 0 c) and E the sums over u, v,
// the gradient of the axes on the image plane is -2 W^T E W times them.
@compute @workgroup_size(64)
fn project_splats_backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * FOLDED + id.x;
    if (i >= view.count) {
        return;
    }
    let mine = slots[i];
    if (mine.y == 0u) {
        return; // what is returned was cleared
    }
    var first = vec4f(0.0); // u, v, uu, uv
    var second = vec4f(0.0); // vv, alpha, shape
    var of_features = vec4f(0.0);
    for (var slot = mine.x; slot < mine.x + mine.y; slot++) {
        first += sums[2u * slot];
        second += sums[2u * slot + 1u];
        of_features += feature_sums[slot];
    }
    let splat = splat_at(i);
    let mean = splat.mean;
    let point = in_camera(mean);
    let made = footprint_of(splat, point);
    let low_pass = compensation_of(made);
    let ellipse = ellipse_of(ellipses[i]);
    let a = ellipse.ab.x;
    let b = ellipse.ab.y;
    let c = ellipse.c;
    var d_before = 0.0;
    var d_low = 0.0;
    if (view.antialiased != 0u && low_pass.before > 0.0) { // factor^2 = before / after
        d_low = -0.5 * second.y * LOW_PASS / low_pass.after;
        d_before = -d_low * (made.xx + made.yy + LOW_PASS) / low_pass.before;
    }
    let minors = cross(made.plane_x, made.plane_y);
    let u = a * made.plane_x + b * made.plane_y;
    let v = c * made.plane_y;
    let d_u = -2.0 * (first.z * u + first.w * v);
    let d_v = -2.0 * (first.w * u + second.x * v);
    let d_x = 2.0 * (d_before * cross(made.plane_y, minors) + d_low * made.plane_x);
    let d_y = 2.0 * (d_before * cross(minors, made.plane_x) + d_low * made.plane_y);
    let inverse = 1.0 / point.z;
    let along_plane = u * d_u + v * d_v + made.plane_x * d_x + made.plane_y * d_y; // of each axis, times it
    let to_x = (a * d_u + d_x) * view.lens.x * inverse;
    let to_y = (b * d_u + c * d_v + d_y) * view.lens.y * inverse;
    let ratio = point.xy * inverse;
    let along = clamp(ratio, -view.lens.zw, view.lens.zw);
    let depth = vec3f(made.axes[0].z, made.axes[1].z, made.axes[2].z);
    let d_along = -vec2f(dot(to_x, depth), dot(to_y, depth));
    let to_depth = -(to_x * along.x + to_y * along.y);
    var d_turned = mat3x3f();
    for (var k = 0u; k < 3u; k++) {
        let turned = view.rows[0].xyz * to_x[k] + view.rows[1].xyz * to_y[k] + view.rows[2].xyz * to_depth[k];
        d_turned[k] = turned * made.scales[k];
    }
    var d_point = vec3f(0.0, 0.0, -dot(along_plane, vec3f(1.0)) * inverse);
    let inside = ratio == along;
    let d_ratio = select(vec2f(0.0), d_along, inside) * inverse;
    d_point += vec3f(d_ratio, -dot(d_ratio, ratio));
    let d_centre = -2.0 * vec2f(a * first.x, b * first.x + c * first.y);
    let d_plain = d_centre * view.lens.xy * inverse;
    d_point += vec3f(d_plain, -dot(d_plain, ratio));
    var d_mean = view.rows[0].xyz * d_point.x + view.rows[1].xyz * d_point.y + view.rows[2].xyz * d_point.z;
    let d_quaternion = rotation_backward(made.unit, made.inverse_length, d_turned);
    // The camera that turns about its centre turns splats the other way around it; their colours stay.
    let q = made.unit / made.inverse_length;
    let d_turn = -cross(mean - view.position.xyz, d_mean)
        - 0.5 * (q.x * d_quaternion.yzw - d_quaternion.x * q.yzw + cross(q.yzw, d_quaternion.yzw));
    d_mean += color_backward(i, mean, of_features.xyz);
    let row = ROW * i;
    for (var k = 0u; k < 3u; k++) {
        gradients[row + k] = d_mean[k];
        gradients[row + 7u + k] = along_plane[k];
    }
    for (var k = 0u; k < 4u; k++) {
        gradients[row + 3u + k] = d_quaternion[k];
    }
    gradients[row + 10u] = second.y * (1.0 - ellipse.opacity / max(low_pass.factor, 1e-20));
    gradients[row + 11u] = second.z;
    gradients[row + 12u] = d_centre.x;
    gradients[row + 13u] = d_centre.y;
    gradients[row + 14u] = of_features.w;
    gradients[row + 15u] = d_turn.x;
    gradients[row + 16u] = d_turn.y;
    gradients[row + 17u] = d_turn.z;
    let d_axes = vec2f(dot(made.plane_x, a * d_u + d_x), dot(made.plane_y, b * d_u + c * d_v + d_y));
    let d_focal = d_centre * ratio + d_axes / view.lens.xy;
    gradients[row + 18u] = d_focal.x;
    gradients[row + 19u] = d_focal.y;
}
