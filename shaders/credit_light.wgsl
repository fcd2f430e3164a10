// Provides: credit, the rule for the light: every texel of its blurs that the shading of either side read, each once.
#include loop_sums
#include light_texel_perturbed

fn credit_side(side: f32) {
    light_side = side;
    if (side > 0.0) {
        light_taps = 0u;
        light_reads = 0u;
    }
}

// A pixel whose shading read more texels than can be listed is left out: crediting some of them would be biased.
fn credit(scaled: vec3f, id_plus: u32, id_minus: u32, row: u32) {
    let amount = amount_of(scaled.x);
    if (light_reads > light_taps) {
        return;
    }
    for (var tap = 0u; tap < light_taps; tap++) {
        var known = false;
        for (var other = 0u; other < tap; other++) {
            known = known || light_tap[other] == light_tap[tap];
        }
        if (!known) {
            atomicAdd(&sums.rows[light_tap[tap]], amount);
        }
    }
}
