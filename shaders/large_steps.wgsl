// Provides: begin, iterate: (I + lambda L) x = b by Chebyshev-accelerated Jacobi, no dot products.

// L = degree - adjacency of the mesh's edges. The recurrence is x' = omega (x + theta D^-1 (b - A x) - x_before) +
// x_before (Golub and Varga 1961), started from x = 0; D is the diagonal of A and theta its Jacobi damping.
struct Iteration {
    omega: f32,
    theta: f32,
    smoothness: f32, // lambda
    vertices: u32,
}

@group(0) @binding(0) var<uniform> iteration: Iteration;
@group(0) @binding(1) var<storage, read> right: array<vec4f>; // b
@group(0) @binding(2) var<storage, read> solution: array<vec4f>; // x
@group(0) @binding(3) var<storage, read_write> other: array<vec4f>; // x_before, then x'
// Entries 0..vertices: where a vertex's neighbours begin; then the neighbours.
@group(0) @binding(4) var<storage, read> neighbours: array<u32>;

@compute @workgroup_size(64)
fn begin(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= iteration.vertices) {
        return;
    }
    let degree = f32(neighbours[vertex + 1u] - neighbours[vertex]);
    other[vertex] = right[vertex] * (iteration.theta / (1.0 + iteration.smoothness * degree));
}

// The first iteration, where x_before is 0 and `other` may hold anything, has omega below 0: its amount, negated.
@compute @workgroup_size(64)
fn iterate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= iteration.vertices) {
        return;
    }
    let start = neighbours[vertex];
    let end = neighbours[vertex + 1u];
    let first = iteration.vertices + 1u;
    var around = vec4f(0.0);
    for (var slot = start; slot < end; slot++) {
        around += solution[neighbours[first + slot]];
    }
    let x = solution[vertex];
    let diagonal = 1.0 + iteration.smoothness * f32(end - start);
    let residual = right[vertex] - diagonal * x + iteration.smoothness * around;
    let before = select(other[vertex], vec4f(0.0), iteration.omega < 0.0);
    let step = x + (iteration.theta / diagonal) * residual - before;
    other[vertex] = before + abs(iteration.omega) * step;
}
