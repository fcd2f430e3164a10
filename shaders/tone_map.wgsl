// Provides: srgb_from_linear, linear_from_srgb, log_tone_map, expose, view_tone_map, as engine/shading/tone.py.

// sRGB encoding (IEC 61966-2-1), not clipped, a line below 0.
fn srgb_from_linear(linear: vec3f) -> vec3f {
    let curve = 1.055 * pow(max(linear, vec3f(0.0031308)), vec3f(1.0 / 2.4)) - 0.055;
    return select(curve, linear * 12.92, linear <= vec3f(0.0031308));
}

// Linear values of sRGB-encoded ones.
fn linear_from_srgb(encoded: vec3f) -> vec3f {
    let curve = pow((max(encoded, vec3f(0.04045)) + 0.055) / 1.055, vec3f(2.4));
    return select(curve, encoded / 12.92, encoded <= vec3f(0.04045));
}

// What losses compare: the sRGB encoding of log(1 + x) (Munkberg et al. 2022); below 0 counts as 0.
fn log_tone_map(linear: vec3f) -> vec3f {
    let value = max(linear, vec3f(0.0));
    let near = value - 0.5 * value * value * (1.0 - value * (2.0 / 3.0)); // the series where log(1 + x) cancels
    return srgb_from_linear(select(log(1.0 + value), near, value < vec3f(0.01)));
}

// Brightened by photographic stops, factors of two.
fn expose(linear: vec3f, stops: f32) -> vec3f {
    return linear * exp2(stops);
}

// Khronos PBR Neutral (2024): linear colour in [0,1] for viewing.
fn view_tone_map(linear: vec3f) -> vec3f {
    let start = 0.8 - 0.04;
    let value = max(linear, vec3f(0.0));
    let least = min(value.x, min(value.y, value.z));
    let color = value - select(0.04, least - 6.25 * least * least, least < 0.08);
    let peak = max(color.x, max(color.y, color.z));
    if (peak < start) {
        return color;
    }
    let span = 1.0 - start;
    let compressed = 1.0 - span * span / (peak + span - start);
    let grey = 1.0 - 1.0 / (0.15 * (peak - compressed) + 1.0);
    return mix(color * (compressed / peak), vec3f(compressed), grey);
}
