// Provides: recursive_gradient, the recursive estimate of the vertices' gradient, in the place of a step's own.
#include loop_step

// g_t = d_t(x_t) + (1 - a) (g_t-1 - d_t(x_t-1)), both d_t with the same signs, photo and everything else
// (Cutkosky and Orabona 2019, arXiv 1905.10018, eq. 7).
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>; // d_t(x_t), then g_t
@group(0) @binding(3) var<storage, read> before: array<vec4f>; // d_t(x_t-1)
@group(0) @binding(4) var<storage, read_write> estimate: array<vec4f>; // g_t-1, then g_t

@compute @workgroup_size(64)
fn recursive_gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= now.vertices) {
        return;
    }
    var value = gradient[vertex];
    if (now.recalled > 0.0) {
        value += now.recalled * (estimate[vertex] - before[vertex]);
    }
    gradient[vertex] = value;
    estimate[vertex] = value;
}
