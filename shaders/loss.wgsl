// Provides: pixel_loss, how one pixel differs from its photo, and finite, which tells NaN and infinity.
#include tone_map

// 0: absolute, 1: squared difference, each the mean of three channels.
#constant LOSS = 0
// 0: of linear radiance, 1: of what log_tone_map makes of it.
#constant TONE = 1

fn encoded(color: vec3f) -> vec3f {
    if (TONE == 1) {
        return log_tone_map(color);
    }
    return color;
}

// `color` is premultiplied, `photo` (encoded colour, alpha), `covered` 0 or 1, `mask` the weight of the squared error
// of the coverage.
fn pixel_loss(color: vec3f, covered: f32, photo: vec4f, mask: f32) -> f32 {
    let difference = encoded(color) - photo.xyz;
    let error = select(abs(difference), difference * difference, LOSS == 1);
    let outside = covered - photo.w;
    return (error.x + error.y + error.z) / 3.0 + mask * outside * outside;
}

// By the bits: comparisons may be compiled as if NaN did not exist.
fn finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}
