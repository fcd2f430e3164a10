// Provides: footprint_of, compensation_of: splats as ellipses on the image by EWA projection, and what leads back.
#include splat_view

@group(0) @binding(1) var<storage, read> geometry: array<vec4f>; // see Splat

struct Footprint {
    unit: vec4f, // quaternion w x y z of length one
    inverse_length: f32,
    point: vec3f, // the mean in camera axes
    turned: mat3x3f, // columns: the splat's axes in the world, of length one
    axes: mat3x3f, // columns: those seen from the camera, scaled
    scales: vec3f,
    plane_x: vec3f, // the axes on the image plane
    plane_y: vec3f,
    xx: f32, // covariance without low pass
    xy: f32,
    yy: f32,
}

struct Compensation {
    factor: f32, // of the opacity, for the low pass
    before: f32, // determinants before and after it
    after: f32,
}

struct Splat {
    mean: vec3f,
    rotation: vec4f, // quaternion w, x, y, z of any length
    log_scales: vec3f,
    logit: f32,
    shape: f32,
}

fn splat_at(i: u32) -> Splat {
    let a = geometry[3u * i];
    let b = geometry[3u * i + 1u];
    let c = geometry[3u * i + 2u];
    return Splat(a.xyz, vec4f(a.w, b.xyz), vec3f(b.w, c.xy), c.z, c.w);
}

fn in_camera(mean: vec3f) -> vec3f {
    let at = vec4f(mean, 1.0);
    return vec3f(dot(pose_row(0u), at), dot(pose_row(1u), at), dot(pose_row(2u), at));
}

fn rotation_of(q: vec4f) -> mat3x3f {
    let w = q.x;
    let x = q.y;
    let y = q.z;
    let z = q.w;
    return mat3x3f(
        vec3f(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)),
        vec3f(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)),
        vec3f(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)),
    );
}

fn rotated(direction: vec3f) -> vec3f {
    return vec3f(dot(pose_row(0u).xyz, direction), dot(pose_row(1u).xyz, direction), dot(pose_row(2u).xyz, direction));
}

fn footprint_of(splat: Splat, point: vec3f) -> Footprint {
    var made: Footprint;
    let q = splat.rotation;
    made.inverse_length = 1.0 / max(sqrt(dot(q, q)), 1e-20);
    made.unit = q * made.inverse_length;
    made.point = point;
    made.turned = rotation_of(made.unit);
    made.scales = exp(splat.log_scales);
    made.axes = mat3x3f(
        rotated(made.turned[0]) * made.scales.x,
        rotated(made.turned[1]) * made.scales.y,
        rotated(made.turned[2]) * made.scales.z,
    );
    let inverse = 1.0 / point.z;
    let along = clamp(point.xy * inverse, -view.lens.zw, view.lens.zw);
    let to_left = vec3f(made.axes[0].x, made.axes[1].x, made.axes[2].x);
    let to_top = vec3f(made.axes[0].y, made.axes[1].y, made.axes[2].y);
    let depth = vec3f(made.axes[0].z, made.axes[1].z, made.axes[2].z);
    made.plane_x = view.lens.x * inverse * (to_left - along.x * depth);
    made.plane_y = view.lens.y * inverse * (to_top - along.y * depth);
    made.xx = dot(made.plane_x, made.plane_x);
    made.xy = dot(made.plane_x, made.plane_y);
    made.yy = dot(made.plane_y, made.plane_y);
    return made;
}

fn compensation_of(made: Footprint) -> Compensation {
    let minors = cross(made.plane_x, made.plane_y); // its square is the determinant, without cancellation
    let before = dot(minors, minors);
    let after = before + LOW_PASS * (made.xx + made.yy + LOW_PASS);
    return Compensation(select(1.0, sqrt(before / after), view.antialiased != 0u), before, after);
}
