// Provides: project_splats: what compositing needs of each splat, and how many tiles it reaches.
#include splat_color
#include splat_footprint
#include splat_tiles

const UNSEEN: u32 = 0xffffffffu;

@group(0) @binding(3) var<storage, read> extra: array<f32>; // [N] the fourth channel
@group(0) @binding(4) var<storage, read_write> ellipses: array<PackedEllipse>;
@group(0) @binding(5) var<storage, read_write> features: array<vec4f>; // colour and the fourth channel
@group(0) @binding(6) var<storage, read_write> boxes: array<vec3u>; // first and past-last column and row, 16 bits each
@group(0) @binding(7) var<storage, read_write> depths: array<u32>; // positive floats are ordered as their bits
@group(0) @binding(8) var<storage, read_write> shown: array<f32>; // [N,3] centre and radius, pixels; radius 0: not seen

@compute @workgroup_size(64)
fn project_splats(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * FOLDED + id.x;
    if (i >= view.count) {
        return;
    }
    depths[i] = UNSEEN;
    boxes[i] = vec3u(0u);
    shown[3u * i] = 0.0;
    shown[3u * i + 1u] = 0.0;
    shown[3u * i + 2u] = 0.0;
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
    let first = vec2u(max(low - 1e-3 * half, vec2f(0.0))) / SIDE;
    let past = (vec2u(ceil(min(high + 1e-3 * half, size))) + SIDE - 1u) / SIDE;
    var count = 0u;
    for (var row = first.y; row < past.y; row++) {
        for (var column = first.x; column < past.x; column++) {
            count += u32(touches(ellipse, column, row));
        }
    }
    ellipses[i] = packed(ellipse);
    features[i] = vec4f(color_of(i, splat.mean), 0.0);
    if (view.extra != 0u) {
        features[i].w = extra[i];
    }
    boxes[i] = vec3u(first.x | past.x << 16u, first.y | past.y << 16u, count);
    depths[i] = bitcast<u32>(point.z);
    shown[3u * i] = centre.x;
    shown[3u * i + 1u] = centre.y;
    shown[3u * i + 2u] = ceil(max(half.x, half.y));
}
