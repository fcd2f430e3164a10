// Provides: shade_points, any shading of a list of surface points.
#include surface
#include shading or pbr

struct Point {
    position: vec3f,
    roughness: f32,
    normal: vec3f,
    metallic: f32,
    toward: vec3f,
    occlusion: f32,
    base_color: vec3f,
    unused: f32,
    uv: vec2f,
    pixel: vec2f,
}

@group(0) @binding(0) var<storage, read> points: array<Point>;
@group(0) @binding(1) var<storage, read_write> radiance: array<vec4f>;

@compute @workgroup_size(64)
fn shade_points(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    if (i >= arrayLength(&radiance)) {
        return;
    }
    let p = points[i];
    radiance[i] = vec4f(shade(Surface(
        p.position, p.normal, p.toward, p.base_color, p.roughness, p.metallic, p.occlusion, p.uv, p.pixel,
    )), 1.0);
}
