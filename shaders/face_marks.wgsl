// Provides: face_color, with_edges: the colour of a triangle and its edges drawn over a colour.
#include preview_scene

// Per triangle: red, green, blue in eight bits each, then two bits for each edge's kind, from corner k to k + 1.
@group(0) @binding(12) var<storage, read> faces: array<u32>;

fn face_color(hit: Hit) -> vec3f {
    return unpack4x8unorm(faces[hit.triangle]).xyz;
}

// `color` under the edges of the hit's triangle, whose widths are in pixels; plain ones fade on flat triangles.
fn with_edges(hit: Hit, color: vec3f) -> vec3f {
    let kinds = faces[hit.triangle] >> 24u;
    var corners = array<vec2f, 3>();
    for (var k = 0u; k < 3u; k++) {
        let position = clip[hit.corner[k]];
        if (position.w <= 0.0) {
            return color;
        }
        corners[k] = (position.xy / position.w + 1.0) * 0.5 * vec2f(view.size);
    }
    let one = corners[1] - corners[0];
    let other = corners[2] - corners[0];
    let area = abs(one.x * other.y - other.x * one.y);
    var result = color;
    for (var k = 0u; k < 3u; k++) {
        let along = corners[(k + 1u) % 3u] - corners[k];
        let reach = hit.pixel - corners[k];
        let size = length(along) + 1e-12;
        let distance = abs(reach.x * along.y - reach.y * along.x) / size;
        let kind = (kinds >> (2u * k)) & 3u;
        let mark = view.wire_colors[kind];
        var share = clamp(0.5 * view.wire[kind] + 0.5 - distance, 0.0, 1.0) * mark.w;
        if (kind == 0u) {
            share *= min(area / size / view.wire.w, 1.0);
        }
        result = mix(result, mark.xyz, share);
    }
    return result;
}
