// Provides: credit, the rule for textures: every texel of the pyramid that the pixel's look-up reads, each once.
#include loop_sums
#include loop_material

// The geometry is the same on both sides, so that both read the texels that loop_material noted.
fn credit_side(side: f32) {
    if (side > 0.0) {
        material_taps = 0u;
    }
}

fn credit(amount: Amount, id_plus: u32, id_minus: u32, row: u32) {
    let levels = i32(material_levels);
    if ((atomicLoad(&sums.head[LEVELS_READ]) & levels) != levels) {
        atomicOr(&sums.head[LEVELS_READ], levels);
    }
    for (var tap = 0u; tap < material_taps; tap++) {
        atomicAdd(&sums.rows[material_tap[tap]], amount);
    }
}
