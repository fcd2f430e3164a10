// Provides: project_discs: what compositing needs of each disc, and how many tiles it reaches.
#include splat_disc_axes
#include splat_discs
#include splat_shown

const GROWN: f32 = 0.0625; // px^2 by which the ellipse is taken larger, so that a disc seen edge-on has an area

@group(0) @binding(4) var<storage, read_write> discs: array<PackedDisc>;

// The image of u^2 + v^2 = `reach` around the image of the mean, and half the sides of its bounding box.
struct Rim {
    bound: Ellipse,
    half: vec2f,
}

fn rim_of(made: DiscAxes, depth: f32, ratio: vec2f, opacity: f32, reach: f32) -> Rim {
    let lean = made.scales * vec2f(made.u.z, made.v.z);
    let square = depth * depth - reach * dot(lean, lean);
    if (!(square > 0.0)) { // the disc comes as near as the camera's plane
        return Rim(Ellipse(vec2f(0.0), vec2f(0.0), 0.0, opacity, reach, 0.0), vec2f(-1.0));
    }
    let u = view.lens.xy * (made.scales.x * made.u.xy - ratio * lean.x);
    let v = view.lens.xy * (made.scales.y * made.v.xy - ratio * lean.y);
    let share = reach / square;
    let middle = -share * (u * lean.x + v * lean.y);
    let spread = share * (u * u + v * v) + middle * middle;
    let xy = share * (u.x * u.y + v.x * v.y) + middle.x * middle.y;
    let turn = vec2f(u.x * middle.y - u.y * middle.x, v.x * middle.y - v.y * middle.x);
    let area = share * (u.x * v.y - u.y * v.x);
    let determinant = area * area + share * dot(turn, turn) + GROWN * (spread.x + spread.y + GROWN);
    let root = sqrt(spread.y + GROWN);
    let scale = sqrt(reach);
    let ab = vec2f(spread.y + GROWN, -xy) * (scale / (root * sqrt(determinant)));
    return Rim(Ellipse(middle, ab, scale / root, opacity, reach, 0.0), sqrt(spread));
}

fn disc_at(made: DiscAxes, depth: f32, ratio: vec2f, centre: vec2f, bound: Ellipse) -> Disc {
    let along = depth / made.scales;
    let inverse = 1.0 / view.lens.xy;
    let u = made.u.xy - ratio * made.u.z; // the axes across the ray through the mean
    let v = made.v.xy - ratio * made.v.z;
    let to_u = along.x * vec2f(v.y, -v.x) * inverse;
    let to_v = along.y * vec2f(-u.y, u.x) * inverse;
    let facing = dot(made.normal.xy, ratio) + made.normal.z;
    let lean = made.scales * vec2f(made.u.z, made.v.z);
    return Disc(centre, depth, facing, to_u, to_v, made.normal.xy * inverse, lean, bound);
}

@compute @workgroup_size(64)
fn project_discs(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * FOLDED + id.x;
    if (i >= view.count) {
        return;
    }
    hide(i);
    let splat = splat_at(i);
    let point = in_camera(splat.mean);
    let opacity = 1.0 / (1.0 + exp(-splat.logit));
    if (!(point.z > NEAR) || !is_finite(point.z) || !(opacity > ALPHA_MIN) || !is_finite(opacity)) {
        return;
    }
    let made = disc_axes_of(splat);
    let ratio = point.xy / point.z;
    let centre = view.lens.xy * ratio + view.centre;
    let whole = exp(splat.log_scales.x) + exp(splat.log_scales.y) + abs(centre.x) + abs(centre.y) + abs(made.normal.z);
    if (!(whole < 1e9) || !is_finite(whole)) {
        return;
    }
    let reach = 2.0 * log(opacity / ALPHA_MIN);
    let filtered = vec2f(sqrt(0.5 * reach));
    var rim = rim_of(made, point.z, ratio, opacity, reach);
    let size = vec2f(view.size);
    var low = vec2f(0.0);
    var high = size;
    if (rim.half.x >= 0.0) {
        low = centre + min(rim.bound.centre - rim.half, -filtered);
        high = centre + max(rim.bound.centre + rim.half, filtered);
        rim.bound.centre += centre;
    }
    let extent = ceil(0.5 * max(high.x - low.x, high.y - low.y));
    let slack = 1e-3 * (high - low);
    low = max(low, vec2f(0.0));
    high = min(high, size);
    if (!all(low < high)) {
        return;
    }
    let disc = disc_at(made, point.z, ratio, centre, rim.bound);
    let box = box_of(low, high, slack);
    var count = 0u;
    for (var row = box.first.y; row < box.past.y; row++) {
        for (var column = box.first.x; column < box.past.x; column++) {
            count += u32(disc_reaches(disc, column, row));
        }
    }
    discs[i] = packed_disc(disc);
    show(i, splat.mean, point.z, centre, min(extent, 1073741824.0), box, count);
}
