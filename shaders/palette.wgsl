// Provides: shade, a lamp's light on the base colour, replaced by the nearest of twelve colours: a lookup.
#include surface

const PALETTE_LIGHT = vec3f(0.408, 0.816, 0.408); // world direction toward the lamp, about unit
const PALETTE = array<vec3f, 12>( // linear
    vec3f(0.010, 0.010, 0.030), vec3f(0.090, 0.030, 0.090), vec3f(0.300, 0.040, 0.060), vec3f(0.750, 0.100, 0.080),
    vec3f(0.900, 0.400, 0.080), vec3f(0.950, 0.800, 0.250), vec3f(0.250, 0.550, 0.120), vec3f(0.050, 0.250, 0.150),
    vec3f(0.040, 0.120, 0.350), vec3f(0.100, 0.400, 0.750), vec3f(0.500, 0.750, 0.850), vec3f(0.900, 0.880, 0.800),
);

fn shade(surface: Surface) -> vec3f {
    let light = 0.3 + 0.7 * max(dot(surface.normal, PALETTE_LIGHT), 0.0);
    let wanted = sqrt(max(light * surface.base_color, vec3f(0.0)));
    var colors = PALETTE;
    var nearest = colors[0];
    var least = 1e9;
    for (var i = 0u; i < 12u; i++) {
        let away = wanted - sqrt(colors[i]);
        let distance = dot(away, away);
        if (distance < least) {
            least = distance;
            nearest = colors[i];
        }
    }
    return nearest;
}
