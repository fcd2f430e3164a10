// Provides: perturb, the vertices at theta + eps s and theta - eps s with their normals and clip positions.
#include loop_step

@group(0) @binding(2) var<storage, read> positions: array<vec4f>;
// Entries 0..vertices: where a vertex's incident corners begin, in pairs; then the pairs (next, previous vertex).
@group(0) @binding(3) var<storage, read> rings: array<u32>;
// Sections of `stride` entries: clip +, clip -, position +, position -, normal +, normal -.
@group(0) @binding(4) var<storage, read_write> moved: array<vec4f>;

fn offset(vertex: u32, point: vec3f) -> vec3f {
    if (GROUP != GROUP_VERTICES) {
        return vec3f(0.0);
    }
    return vertex_reach(point) * signs_at(now.key, vertex);
}

// A point in camera axes as the perturbed camera (`side` times) sees it; an infinitesimal motion, as the signs are.
fn seen(point: vec3f, side: f32) -> vec3f {
    let p = camera_point(point);
    if (GROUP != GROUP_CAMERA_POSE) {
        return p;
    }
    let reach = side * pose_reach();
    return p + cross(reach.x * signs_at(now.key, 0u), p) + reach.y * signs_at(now.key, 1u);
}

fn unit(sum: vec3f) -> vec3f {
    let length2 = dot(sum, sum);
    return select(vec3f(0.0, 0.0, 1.0), sum * inverseSqrt(max(length2, 1e-38)), length2 > 1e-38);
}

@compute @workgroup_size(64)
fn perturb(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= now.vertices) {
        return;
    }
    let point = positions[vertex].xyz;
    let own = offset(vertex, point);
    let plus = point + own;
    let minus = point - own;
    var normal_plus = vec3f(0.0);
    var normal_minus = vec3f(0.0);
    let first = now.vertices + 1u;
    for (var slot = rings[vertex]; slot < rings[vertex + 1u]; slot++) {
        let next = rings[first + 2u * slot];
        let last = rings[first + 2u * slot + 1u];
        let p = positions[next].xyz;
        let q = positions[last].xyz;
        let move_p = offset(next, p);
        let move_q = offset(last, q);
        normal_plus += cross(p + move_p - plus, q + move_q - plus);
        if (GROUP == GROUP_VERTICES) {
            normal_minus += cross(p - move_p - minus, q - move_q - minus);
        }
    }
    moved[vertex] = clip_point(seen(plus, 1.0));
    moved[2u * now.stride + vertex] = vec4f(plus, 1.0);
    moved[4u * now.stride + vertex] = vec4f(unit(normal_plus), 0.0);
    if (GROUP == GROUP_VERTICES || GROUP == GROUP_CAMERA_POSE) {
        let side = select(normal_plus, normal_minus, GROUP == GROUP_VERTICES);
        moved[now.stride + vertex] = clip_point(seen(minus, -1.0));
        moved[3u * now.stride + vertex] = vec4f(minus, 1.0);
        moved[5u * now.stride + vertex] = vec4f(unit(side), 0.0);
    }
}
