// Provides: credit, the rule for the camera's pose: every pixel, into one sum per row of the image.
#include loop_sums
fn credit_side(side: f32) {}

fn credit(scaled: vec3f, id_plus: u32, id_minus: u32, row: u32) {
    let amount = amount_of(scaled.x);
    atomicAdd(&sums.rows[row], amount);
}
