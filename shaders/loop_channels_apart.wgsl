// Provides: add_channels, credit for the three channels of a texel, each in a buffer of its own: for large textures.
#include loop_sums

@group(0) @binding(13) var<storage, read_write> sums_second: array<atomic<Amount>>;
@group(0) @binding(14) var<storage, read_write> sums_third: array<atomic<Amount>>;

fn add_channels(texel: u32, scaled: vec3f) {
    let first = amount_of(scaled.x);
    let second = amount_of(scaled.y);
    let third = amount_of(scaled.z);
    if (first != Amount(0)) {
        atomicAdd(&sums.rows[texel], first);
    }
    if (second != Amount(0)) {
        atomicAdd(&sums_second[texel], second);
    }
    if (third != Amount(0)) {
        atomicAdd(&sums_third[texel], third);
    }
}
