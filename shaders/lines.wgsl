// Provides: line_vertex and line_fragment, straight lines in the world, antialiased, faint behind the drawn surface.
#include preview_scene

const NEAREST: f32 = 1e-3; // of the greatest depth; the near plane is the surface's, and lines may lie before it

struct Line {
    begin: vec3f,
    width: f32, // pixels
    end: vec3f,
    hidden: f32, // share of its opacity that is left behind the surface
    color: vec4f, // sRGB-encoded, not premultiplied
}

@group(0) @binding(5) var<storage, read> segments: array<Line>;
@group(0) @binding(6) var<storage, read> planes: array<u32>; // of preview.wgsl, for the depth

struct Corner {
    @builtin(position) position: vec4f,
    @location(0) across: f32, // pixels from the line's middle
    @location(1) @interpolate(flat, either) number: u32,
    @location(2) @interpolate(linear) inverse_depth: f32,
}

// Two triangles per line, half a pixel wider on each side than the line, cut before the camera.
@vertex
fn line_vertex(@builtin(vertex_index) index: u32) -> Corner {
    let number = index / 6u;
    let line = segments[number];
    let corner = index % 6u;
    let at_end = corner == 1u || corner == 2u || corner == 4u;
    let on_left = corner == 0u || corner == 1u || corner == 3u;
    var a = view.clip_from_world * vec4f(line.begin, 1.0);
    var b = view.clip_from_world * vec4f(line.end, 1.0);
    let inside = vec2f(a.w, b.w) - NEAREST * view.depth_range.y; // before the camera where positive
    if (max(inside.x, inside.y) <= 0.0) {
        return Corner(vec4f(2.0, 2.0, 0.0, 1.0), 0.0, number, 1.0); // of all six corners: nothing
    }
    let cut = mix(a, b, inside.x / (inside.x - inside.y));
    if (inside.x < 0.0) {
        a = cut;
    } else if (inside.y < 0.0) {
        b = cut;
    }
    let half = 0.5 * vec2f(view.size);
    let along = (b.xy / b.w - a.xy / a.w) * half;
    let unit = along * inverseSqrt(max(dot(along, along), 1e-12));
    let reach = 0.5 * line.width + 0.5;
    let across = select(-reach, reach, on_left);
    let chosen = select(a, b, at_end);
    let place = chosen.xy / chosen.w + vec2f(-unit.y, unit.x) * across / half;
    return Corner(vec4f(place.x, -place.y, 0.0, 1.0), across, number, 1.0 / chosen.w);
}

@fragment
fn line_fragment(corner: Corner) -> @location(0) vec4f {
    let line = segments[corner.number];
    let pixel = vec2u(corner.position.xy);
    let count = view.size.x * view.size.y;
    let surface = bitcast<f32>(planes[count + pixel.y * view.size.x + pixel.x]);
    var alpha = line.color.w * clamp(0.5 * line.width + 0.5 - abs(corner.across), 0.0, 1.0);
    if (corner.inverse_depth * surface < 1.0) {
        alpha *= line.hidden;
    }
    return vec4f(line.color.xyz * alpha, alpha);
}
