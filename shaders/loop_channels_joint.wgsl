// Provides: add_channels, credit for the three channels of a texel, which lie side by side.
#include loop_sums

fn add_channels(texel: u32, scaled: vec3f) {
    for (var k = 0u; k < 3u; k++) {
        let amount = amount_of(scaled[k]);
        if (amount != Amount(0)) {
            atomicAdd(&sums.rows[3u * texel + k], amount);
        }
    }
}
