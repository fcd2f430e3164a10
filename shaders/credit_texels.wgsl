// Provides: credit, the rule for textures: every texel of the pyramid that the pixel's look-up reads, by its weight.
#include loop_sums
#include loop_material
#include loop_channels or loop_channels_joint

fn credit_side(side: f32) {}

fn credit(scaled: vec3f, id_plus: u32, id_minus: u32, row: u32) {
    let levels = i32(material_levels);
    if ((atomicLoad(&sums.head[LEVELS_READ]) & levels) != levels) {
        atomicOr(&sums.head[LEVELS_READ], levels);
    }
    for (var tap = 0u; tap < material_taps; tap++) {
        add_channels(material_tap[tap], material_weight[tap] * scaled);
    }
}
