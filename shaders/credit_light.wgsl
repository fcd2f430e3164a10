// Provides: credit, the rule for the light: every texel of its blurs that the shading of either side read, each once.
#include loop_sums
#include environment_perturbed

fn credit_begin() {
    light_taps = 0u;
}

fn credit(fixed: i32, id_plus: u32, id_minus: u32, row: u32) {
    for (var tap = 0u; tap < light_taps; tap++) {
        var known = false;
        for (var other = 0u; other < tap; other++) {
            known = known || light_tap[other] == light_tap[tap];
        }
        if (!known) {
            atomicAdd(&sums[SUMS_HEAD + light_tap[tap]], fixed);
        }
    }
}
