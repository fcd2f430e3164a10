// Provides: light_bound, for a shading that reads no light: nothing of bind group 1 is used.
fn light_bound() -> vec2f {
    return vec2f(0.0);
}
