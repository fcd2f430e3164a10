// Provides: halve, one level of an image's pyramid from the one before: means of 2x2 texels.

@group(0) @binding(0) var fine: texture_2d<f32>;
@group(0) @binding(1) var coarse: texture_storage_2d<rgba16float, write>;

@compute @workgroup_size(8, 8)
fn halve(@builtin(global_invocation_id) id: vec3u) {
    if (any(id.xy >= textureDimensions(coarse))) {
        return;
    }
    let last = textureDimensions(fine) - 1u;
    let low = min(2u * id.xy, last);
    let high = min(low + 1u, last);
    let upper = textureLoad(fine, low, 0) + textureLoad(fine, vec2u(high.x, low.y), 0);
    let lower = textureLoad(fine, vec2u(low.x, high.y), 0) + textureLoad(fine, high, 0);
    textureStore(coarse, id.xy, 0.25 * (upper + lower));
}
