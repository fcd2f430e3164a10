// Provides: vertex_gradient, the sums of the credit rule for vertices turned into the gradient of a step's loss.
#include loop_step
#include loop_credited

@group(0) @binding(2) var<storage, read> positions: array<vec4f>;
// Entries 0..vertices: where the triangles that read a vertex begin; then the triangles.
@group(0) @binding(3) var<storage, read> readers: array<u32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<vec4f>;

@compute @workgroup_size(64)
fn vertex_gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= now.vertices) {
        return;
    }
    var total = credit_of(now.triangles + vertex);
    let listed = now.vertices + 1u;
    for (var slot = readers[vertex]; slot < readers[vertex + 1u]; slot++) {
        total += credit_of(readers[listed + slot]);
    }
    let reach = vertex_reach(positions[vertex].xyz);
    let pixels = f32(view.size.x * view.size.y);
    let inverse = select(0.0, 0.5 / (loop_scale() * pixels * reach), reach > 0.0);
    gradient[vertex] = vec4f(f32(total) * inverse * signs_at(now.key, vertex), 0.0);
}
