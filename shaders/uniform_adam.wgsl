// Provides: moments, move_vertices: Adam that divides all coordinates by the same number, the largest second moment.

// Dividing each coordinate by its own would undo the large-steps preconditioning (Nicolet et al. 2021).
#include loop_step

@group(0) @binding(2) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> mean: array<vec4f>; // first moment
@group(0) @binding(4) var<storage, read_write> square: array<vec4f>; // second moment
// [0]: bits of the largest second moment, 0 before; non-negative floats are ordered as their bits are.
@group(0) @binding(5) var<storage, read_write> largest: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read_write> positions: array<vec4f>;

@compute @workgroup_size(64)
fn moments(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= now.vertices) {
        return;
    }
    let g = gradient[vertex];
    mean[vertex] = mix(g, mean[vertex], now.beta1);
    let second = mix(g * g, square[vertex], now.beta2);
    square[vertex] = second;
    atomicMax(&largest[0], bitcast<u32>(max(second.x, max(second.y, second.z))));
}

@compute @workgroup_size(64)
fn move_vertices(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= now.vertices) {
        return;
    }
    let divisor = sqrt(bitcast<f32>(atomicLoad(&largest[0])) * now.correction2);
    let amount = select(0.0, now.rate * now.correction1 / divisor, divisor > 1e-30);
    positions[vertex] = vec4f(positions[vertex].xyz - amount * mean[vertex].xyz, 1.0);
}
