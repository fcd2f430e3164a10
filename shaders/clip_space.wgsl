// Provides: to_device(clip), from Unrender's clip space (y down, |z| <= w) to WebGPU's, and at_pixel(pixel, size).

// Depth runs from 1 at the near plane to 0 at the far plane, where floats are densest; compare it by "greater".
fn to_device(clip: vec4f) -> vec4f {
    return vec4f(clip.x, -clip.y, 0.5 * (clip.w - clip.z), clip.w);
}

// (x/w, y/w) of the centre of `pixel` (column, row) in an image of `size` (width, height) pixels.
fn at_pixel(pixel: vec2u, size: vec2u) -> vec2f {
    return (2.0 * vec2f(pixel) + 1.0) / vec2f(size) - 1.0;
}

// Told by their bits, since arithmetic need not know NaN and infinity.
fn is_finite(value: vec4f) -> bool {
    return all((bitcast<vec4u>(value) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}
