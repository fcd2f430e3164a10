// Provides: average, one level of a pyramid of vec4f texels from the one before: means of 2x2, as texture_mips.

struct MipLevel {
    width: u32, // of the coarse level
    height: u32,
    fine_width: u32,
    fine_height: u32,
    start: u32, // first texel of the coarse level
    fine_start: u32,
}

@group(0) @binding(0) var<storage, read_write> texels: array<vec4f>;
@group(0) @binding(1) var<uniform> mip: MipLevel;

// One invocation per texel of the coarse level.
@compute @workgroup_size(64)
fn average(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let texel = (group.y * groups.x + group.x) * 64u + local;
    if (texel >= mip.width * mip.height) {
        return;
    }
    let place = vec2u(texel % mip.width, texel / mip.width);
    let right = select(0u, 1u, mip.fine_width > 1u);
    let down = select(0u, mip.fine_width, mip.fine_height > 1u);
    let fine = select(vec2u(0u), 2u * place, vec2u(mip.fine_width, mip.fine_height) > vec2u(1u));
    let upper = mip.fine_start + fine.y * mip.fine_width + fine.x;
    let lower = upper + down;
    let total = (texels[upper] + texels[upper + right]) + (texels[lower] + texels[lower + right]);
    texels[mip.start + texel] = 0.25 * total;
}
