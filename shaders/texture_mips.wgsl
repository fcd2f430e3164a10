// Provides: average, one level of a texture's pyramid from the one before: means of 2x2 texels, layout as texture.wgsl.

struct MipLevel {
    width: u32, // of the coarse level
    height: u32,
    fine_width: u32,
    fine_height: u32,
    start: u32, // first texel of the coarse level
    fine_start: u32,
    channels: u32,
}

@group(0) @binding(0) var<storage, read_write> texels: array<f32>;
@group(0) @binding(1) var<uniform> mip: MipLevel;

// One invocation per value of the coarse level.
@compute @workgroup_size(64)
fn average(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let value = (group.y * groups.x + group.x) * 64u + local;
    if (value >= mip.width * mip.height * mip.channels) {
        return;
    }
    let channel = value % mip.channels;
    let texel = value / mip.channels;
    let x = texel % mip.width;
    let y = texel / mip.width;
    let right = select(0u, mip.channels, mip.fine_width > 1u);
    let down = select(0u, mip.fine_width * mip.channels, mip.fine_height > 1u);
    let row = mip.fine_start + select(0u, 2u * y, mip.fine_height > 1u) * mip.fine_width;
    let upper = (row + select(0u, 2u * x, mip.fine_width > 1u)) * mip.channels + channel;
    let lower = upper + down;
    let total = (texels[upper] + texels[upper + right]) + (texels[lower] + texels[lower + right]);
    texels[(mip.start + texel) * mip.channels + channel] = 0.25 * total;
}
