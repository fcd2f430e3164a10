// Provides: entry point `locate`, which writes where on its triangle every pixel lies: (u, v, depth, number as bits).
#include clip_space
#include barycentrics

@group(0) @binding(0) var<storage, read> positions: array<vec4f>;
@group(0) @binding(1) var<storage, read> corners: array<u32>;
@group(0) @binding(2) var numbers: texture_2d<u32>;
@group(0) @binding(3) var<storage, read_write> located: array<vec4f>; // [H*W], all 0 = background

@compute @workgroup_size(16, 8)
fn locate(@builtin(global_invocation_id) id: vec3u) {
    let size = textureDimensions(numbers);
    if any(id.xy >= size) {
        return;
    }
    let number = textureLoad(numbers, id.xy, 0).x;
    var result = vec4f(0.0);
    if number != 0u {
        let at = 3u * (number - 1u);
        let a = positions[corners[at]];
        let b = positions[corners[at + 1u]];
        let c = positions[corners[at + 2u]];
        let weights = barycentrics(a, b, c, at_pixel(id.xy, size));
        result = vec4f(weights.xy, dot(weights, vec3f(a.w, b.w, c.w)), bitcast<f32>(number));
    }
    located[id.y * size.x + id.x] = result;
}
