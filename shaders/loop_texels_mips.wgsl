// Provides: place, halve: a texture's rows put from a buffer into an image, and its pyramid by means of 2x2 texels.

struct Rows {
    first: u32, // row of the image where the buffer begins
    count: u32,
}

@group(0) @binding(0) var<uniform> rows: Rows;
@group(0) @binding(1) var<storage, read> texels: array<vec4f>;
@group(0) @binding(2) var fine: texture_2d<f32>;
@group(0) @binding(3) var image: texture_storage_2d<rgba32float, write>;

// One invocation per texel of the rows, columns along x.
@compute @workgroup_size(8, 8)
fn place(@builtin(global_invocation_id) id: vec3u) {
    let width = textureDimensions(image).x;
    if (id.x < width && id.y < rows.count) {
        textureStore(image, vec2u(id.x, rows.first + id.y), texels[id.y * width + id.x]);
    }
}

// One invocation per texel of the coarse level; sums as those of texture_mips, to the bit.
@compute @workgroup_size(8, 8)
fn halve(@builtin(global_invocation_id) id: vec3u) {
    if (any(id.xy >= textureDimensions(image))) {
        return;
    }
    let last = textureDimensions(fine) - 1u;
    let low = min(2u * id.xy, last);
    let high = min(low + 1u, last);
    let upper = textureLoad(fine, low, 0) + textureLoad(fine, vec2u(high.x, low.y), 0);
    let lower = textureLoad(fine, vec2u(low.x, high.y), 0) + textureLoad(fine, high, 0);
    textureStore(image, id.xy, 0.25 * (upper + lower));
}
