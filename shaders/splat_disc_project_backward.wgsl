// Provides: project_discs_backward: the gradients of the parameters from the sums of compositing.
#include splat_disc_axes
#include splat_discs
#include splat_gradients

@group(0) @binding(3) var<storage, read> discs: array<PackedDisc>;
@group(0) @binding(4) var<storage, read> slots: array<vec2u>; // first, count; none: not seen
@group(0) @binding(5) var<storage, read> sums: array<vec4f>; // [slots,4]: see keep where they are made
@group(0) @binding(6) var<storage, read> feature_sums: array<vec4f>; // [slots]

fn in_world(direction: vec3f) -> vec3f {
    return pose_row(0u).xyz * direction.x + pose_row(1u).xyz * direction.y + pose_row(2u).xyz * direction.z;
}

@compute @workgroup_size(64)
fn project_discs_backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * FOLDED + id.x;
    if (i >= view.count) {
        return;
    }
    let mine = slots[i];
    if (mine.y == 0u) {
        return; // what is returned was cleared
    }
    var of_u = vec4f(0.0); // d U alone, times dx, times dy; the filter's slope times dx
    var of_v = vec4f(0.0); // d V; the filter's slope times dy
    var of_facing = vec4f(0.0); // d D; alpha d alpha
    var of_depth = vec4f(0.0); // d depth alone, times u, times v
    var of_features = vec4f(0.0);
    for (var slot = mine.x; slot < mine.x + mine.y; slot++) {
        of_u += sums[4u * slot];
        of_v += sums[4u * slot + 1u];
        of_facing += sums[4u * slot + 2u];
        of_depth += sums[4u * slot + 3u];
        of_features += feature_sums[slot];
    }
    let splat = splat_at(i);
    let mean = splat.mean;
    let point = in_camera(mean);
    let made = disc_axes_of(splat);
    let disc = disc_of(discs[i]);
    let inverse = 1.0 / point.z;
    let ratio = point.xy * inverse;
    let along = point.z / made.scales;
    let across_u = along.y * vec2f(of_v.z, -of_v.y) / view.lens.yx; // of the axes across the ray through the mean
    let across_v = along.x * vec2f(-of_u.z, of_u.y) / view.lens.yx;
    let d_normal = vec3f(of_facing.x * ratio + of_facing.yz / view.lens.xy, of_facing.x);
    let lean_u = made.scales.x * of_depth.y - dot(ratio, across_u);
    let lean_v = made.scales.y * of_depth.z - dot(ratio, across_v);
    let d_axis_u = vec3f(across_u, lean_u) + cross(made.v, d_normal);
    let d_axis_v = vec3f(across_v, lean_v) + cross(d_normal, made.u);
    let d_turned = mat3x3f(in_world(d_axis_u), in_world(d_axis_v), vec3f(0.0));
    let d_u = dot(of_u.yz, disc.to_u); // of the logarithm of what U is a multiple of
    let d_v = dot(of_v.yz, disc.to_v);
    let filtered = vec2f(of_u.w, of_v.w);
    let d_centre = -(of_u.x * disc.to_u + of_v.x * disc.to_v + of_facing.x * disc.to_facing + filtered);
    let d_ratio = of_facing.x * made.normal.xy - made.u.z * across_u - made.v.z * across_v + view.lens.xy * d_centre;
    let d_depth = of_depth.x + (d_u + d_v - dot(d_ratio, ratio)) * inverse;
    let d_log_scales = vec3f(of_depth.yz * disc.lean - vec2f(d_u, d_v), 0.0);
    var d_mean = in_world(vec3f(d_ratio * inverse, d_depth));
    let d_quaternion = rotation_backward(made.unit, made.inverse_length, d_turned);
    let d_turn = turn_backward(mean, splat.rotation, d_mean, d_quaternion);
    d_mean += color_backward(i, mean, of_features.xyz);
    let d_logit = of_facing.w * (1.0 - disc.bound.opacity);
    let d_axes = of_u.yz * disc.to_u + of_v.yz * disc.to_v + of_facing.yz * disc.to_facing;
    let d_focal = d_centre * ratio - d_axes / view.lens.xy;
    let fourth = of_features.w;
    store(i, Gradients(d_mean, d_quaternion, d_log_scales, d_logit, 0.0, d_centre, fourth, d_turn, d_focal));
}
