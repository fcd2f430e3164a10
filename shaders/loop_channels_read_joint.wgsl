// Provides: channels_of, the sums that loop_channels_joint has.
#include loop_credited

fn channels_of(texel: u32) -> vec3<Amount> {
    return vec3<Amount>(credit_of(3u * texel), credit_of(3u * texel + 1u), credit_of(3u * texel + 2u));
}
