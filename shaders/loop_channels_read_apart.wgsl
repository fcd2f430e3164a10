// Provides: channels_of, the sums that loop_channels_apart has.
#include loop_credited

@group(0) @binding(13) var<storage, read> sums_second: array<i32>;
@group(0) @binding(14) var<storage, read> sums_third: array<i32>;

fn channels_of(texel: u32) -> vec3<Amount> {
    let second = amount_from_bits(sums_second[texel]);
    return vec3<Amount>(credit_of(texel), second, amount_from_bits(sums_third[texel]));
}
