// Provides: project_splats_backward: the gradients of the parameters from the sums of compositing.
#include splat_footprint
#include splat_gradients
#include splat_tiles

@group(0) @binding(3) var<storage, read> ellipses: array<PackedEllipse>;
@group(0) @binding(4) var<storage, read> slots: array<vec2u>; // first, count; none: not seen
@group(0) @binding(5) var<storage, read> sums: array<vec4f>; // [slots,2]
@group(0) @binding(6) var<storage, read> feature_sums: array<vec4f>; // [slots]

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
        let turned = pose_row(0u).xyz * to_x[k] + pose_row(1u).xyz * to_y[k] + pose_row(2u).xyz * to_depth[k];
        d_turned[k] = turned * made.scales[k];
    }
    var d_point = vec3f(0.0, 0.0, -dot(along_plane, vec3f(1.0)) * inverse);
    let inside = ratio == along;
    let d_ratio = select(vec2f(0.0), d_along, inside) * inverse;
    d_point += vec3f(d_ratio, -dot(d_ratio, ratio));
    let d_centre = -2.0 * vec2f(a * first.x, b * first.x + c * first.y);
    let d_plain = d_centre * view.lens.xy * inverse;
    d_point += vec3f(d_plain, -dot(d_plain, ratio));
    var d_mean = pose_row(0u).xyz * d_point.x + pose_row(1u).xyz * d_point.y + pose_row(2u).xyz * d_point.z;
    let d_quaternion = rotation_backward(made.unit, made.inverse_length, d_turned);
    let d_turn = turn_backward(mean, splat.rotation, d_mean, d_quaternion);
    d_mean += color_backward(i, mean, of_features.xyz);
    let d_logit = second.y * (1.0 - ellipse.opacity / max(low_pass.factor, 1e-20));
    let d_axes = vec2f(dot(made.plane_x, a * d_u + d_x), dot(made.plane_y, b * d_u + c * d_v + d_y));
    let d_focal = d_centre * ratio + d_axes / view.lens.xy;
    let fourth = of_features.w;
    store(i, Gradients(d_mean, d_quaternion, along_plane, d_logit, second.z, d_centre, fourth, d_turn, d_focal));
}
