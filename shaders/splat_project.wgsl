// Provides: project_splats: what compositing needs of each splat, and how many tiles it reaches.
#include splat_footprint
#include splat_shown
#include splat_tiles

@group(0) @binding(4) var<storage, read_write> ellipses: array<PackedEllipse>;

@compute @workgroup_size(64)
fn project_splats(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * FOLDED + id.x;
    if (i >= view.count) {
        return;
    }
    hide(i);
    let splat = splat_at(i);
    let point = in_camera(splat.mean);
    if (!(point.z > NEAR) || !is_finite(point.z)) {
        return;
    }
    let made = footprint_of(splat, point);
    let low_pass = compensation_of(made);
    let opacity = low_pass.factor / (1.0 + exp(-splat.logit));
    if (!(opacity > ALPHA_MIN) || !is_finite(opacity) || !(low_pass.after > 0.0)) {
        return;
    }
    var reach = 2.0 * log(opacity / ALPHA_MIN);
    if (EXPONENTIAL) {
        reach = pow(reach, 2.0 / splat.shape);
    }
    let spread = vec2f(made.xx, made.yy) + LOW_PASS;
    let half = sqrt(reach * spread);
    if (!(max(half.x, half.y) < 1e9) || !is_finite(half.x) || !is_finite(half.y)) {
        return;
    }
    let centre = view.lens.xy * point.xy / point.z + view.centre;
    let size = vec2f(view.size);
    let low = max(centre - half, vec2f(0.0));
    let high = min(centre + half, size);
    if (!all(low < high)) {
        return;
    }
    let root = sqrt(spread.y);
    let inverse = 1.0 / (root * sqrt(low_pass.after));
    let ab = vec2f(spread.y, -made.xy) * inverse;
    let ellipse = Ellipse(centre, ab, 1.0 / root, opacity, reach, splat.shape);
    let box = box_of(low, high, 1e-3 * half);
    var count = 0u;
    for (var row = box.first.y; row < box.past.y; row++) {
        for (var column = box.first.x; column < box.past.x; column++) {
            count += u32(touches(ellipse, column, row));
        }
    }
    ellipses[i] = packed(ellipse);
    show(i, splat.mean, point.z, centre, ceil(max(half.x, half.y)), box, count);
}
