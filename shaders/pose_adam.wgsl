// Provides: pose_adam, one step of Adam on the pose of the camera that a step saw.
#include loop_step
#include loop_credited

@group(0) @binding(2) var<storage, read_write> seen: View;
// First and second moments of rotation and translation, xyz each; [0].w is how often the pose has moved.
@group(0) @binding(3) var<storage, read_write> moments: array<vec4f, 4>;

@compute @workgroup_size(1)
fn pose_adam() {
    var total = Amount(0);
    for (var row = 0u; row < seen.size.y; row++) {
        total += credit_of(row);
    }
    // In units of the perturbation: pixels at the scene's centre, for rotation and translation alike.
    let factor = 0.5 * f32(total) / (now.eps * loop_scale() * f32(seen.size.x * seen.size.y));
    let times = moments[0].w + 1.0;
    let corrections = 1.0 / (vec2f(1.0) - pow(vec2f(now.beta1, now.beta2), vec2f(times)));
    var change: array<vec3f, 2>;
    for (var part = 0u; part < 2u; part++) {
        let gradient = factor * signs_at(now.key, part);
        let first = mix(gradient, moments[part].xyz, now.beta1);
        let second = mix(gradient * gradient, moments[part + 2u].xyz, now.beta2);
        moments[part] = vec4f(first, times);
        moments[part + 2u] = vec4f(second, 0.0);
        change[part] = -now.rate * corrections.x * first / (sqrt(second * corrections.y) + 1e-20);
    }
    let unit = vec2f(1.0, seen.position.w) / seen.focal;
    let turn = unit.x * change[0];
    let angle = length(turn);
    let axis = turn / max(angle, 1e-20);
    var columns: array<vec3f, 4>;
    for (var k = 0u; k < 4u; k++) {
        let v = vec3f(seen.camera_from_world[0][k], seen.camera_from_world[1][k], seen.camera_from_world[2][k]);
        let along = axis * dot(axis, v);
        columns[k] = v * cos(angle) + cross(axis, v) * sin(angle) + along * (1.0 - cos(angle)); // Rodrigues
    }
    columns[0] = normalize(columns[0]);
    columns[1] = normalize(columns[1] - dot(columns[1], columns[0]) * columns[0]);
    columns[2] = cross(columns[0], columns[1]);
    columns[3] += unit.y * change[1];
    for (var k = 0u; k < 3u; k++) {
        seen.camera_from_world[k] = vec4f(columns[0][k], columns[1][k], columns[2][k], columns[3][k]);
    }
    let place = -vec3f(dot(columns[0], columns[3]), dot(columns[1], columns[3]), dot(columns[2], columns[3]));
    seen.position = vec4f(place, seen.position.w);
}
