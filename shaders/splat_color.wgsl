// Provides: color_of: a splat's colour as seen from the camera.
#include splat_harmonics
#include splat_view

@group(0) @binding(2) var<storage, read> harmonics: array<f32>; // [N,terms,3]

fn color_of(i: u32, mean: vec3f) -> vec3f {
    let toward = mean - view.position.xyz;
    var values: array<f32, 16>;
    harmonic_basis(toward / max(length(toward), 1e-20), view.degree, &values);
    var color = vec3f(0.5);
    for (var term = 0u; term < (view.degree + 1u) * (view.degree + 1u); term++) {
        let at = 3u * (view.terms * i + term);
        color += values[term] * vec3f(harmonics[at], harmonics[at + 1u], harmonics[at + 2u]);
    }
    return max(color, vec3f(0.0));
}
