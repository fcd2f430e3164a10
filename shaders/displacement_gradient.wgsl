// Provides: displacement_gradient, the sums of the credit rule for displacement texels turned into a gradient.
#include loop_step
#include loop_credited

// Entries 0..texels: where the triangles that a texel lifts begin; then the triangles. A step of this group counts
// texels in `now.vertices`.
@group(0) @binding(3) var<storage, read> readers: array<u32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<vec4f>; // x

@compute @workgroup_size(64)
fn displacement_gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let texel = id.y * groups.x * 64u + id.x;
    if (texel >= now.vertices) {
        return;
    }
    var total = credit_of(now.triangles + texel);
    let listed = now.vertices + 1u;
    for (var slot = readers[texel]; slot < readers[texel + 1u]; slot++) {
        total += credit_of(readers[listed + slot]);
    }
    let pixels = f32(view.size.x * view.size.y);
    let slope = f32(total) * sign_at(now.key, texel) * 0.5 / (loop_scale() * pixels * displacement_reach());
    gradient[texel] = vec4f(slope, 0.0, 0.0, 0.0);
}
