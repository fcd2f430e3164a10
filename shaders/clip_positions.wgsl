// Provides: project, the clip positions of all vertices under a camera's matrix.

@group(0) @binding(0) var<uniform> clip_from_world: mat4x4f;
@group(0) @binding(1) var<storage, read> vertices: array<f32>; // [V,3]
@group(0) @binding(2) var<storage, read_write> clip: array<vec4f>;

@compute @workgroup_size(64)
fn project(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    if (i < arrayLength(&clip)) {
        clip[i] = clip_from_world * vec4f(vertices[3u * i], vertices[3u * i + 1u], vertices[3u * i + 2u], 1.0);
    }
}
