// Provides: View and the mesh in bind group 0, Hit (the surface point of a pixel), for shaders that draw a preview.
#include fragment

struct View {
    clip_from_world: mat4x4f,
    world_from_camera: mat3x3f,
    backdrop_from_camera: mat3x3f, // to the frame of the light that is shown behind
    position: vec3f, // of the camera
    gain: f32, // brightness of what is linear
    focal: vec2f, // pixels
    centre: vec2f,
    size: vec2u, // (width, height) in pixels
    depth_range: vec2f, // (near, far) that the display of depth spans
    is_linear: u32, // 1: colours are linear, 0: sRGB-encoded
    has_backdrop: u32, // 1: the light is shown behind the surface
    is_smooth: u32, // 1: silhouettes are antialiased
    has_lines: u32, // 1: lines lie over the picture
    wire_colors: array<vec4f, 3>, // of plain, boundary and non-manifold edges, alpha last
    wire: vec4f, // their widths in pixels; height in pixels of a triangle under which its plain edges fade
}

struct Hit {
    triangle: u32,
    corner: vec3u, // vertices
    place: Fragment,
    depth: f32, // camera z
    pixel: vec2f,
    position: vec3f, // world
    toward: vec3f, // world, unit, to the camera
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> clip: array<vec4f>;
@group(0) @binding(2) var<storage, read> triangles: array<u32>; // [F,3]
@group(0) @binding(3) var<storage, read> vertices: array<vec4u>; // [V], see vertex_values

fn hit_at(triangle: u32, pixel: vec2f) -> Hit {
    let corner = vec3u(triangles[3u * triangle], triangles[3u * triangle + 1u], triangles[3u * triangle + 2u]);
    let a = clip[corner.x];
    let b = clip[corner.y];
    let c = clip[corner.z];
    let place = fragment_at(a, b, c, pixel, vec2f(view.size));
    let depth = dot(place.weights, vec3f(a.w, b.w, c.w));
    let away = view.world_from_camera * vec3f((pixel - view.centre) / view.focal, 1.0);
    return Hit(triangle, corner, place, depth, pixel, view.position + depth * away, -normalize(away));
}

// Normal and roughness at the hit, then base colour and metallic, interpolated between signed 16-bit fractions.
fn vertex_values(hit: Hit) -> mat2x4f {
    var values = mat2x4f();
    for (var k = 0u; k < 3u; k++) {
        let packed = vertices[hit.corner[k]];
        values[0] += hit.place.weights[k] * vec4f(unpack2x16snorm(packed.x), unpack2x16snorm(packed.y));
        values[1] += hit.place.weights[k] * vec4f(unpack2x16snorm(packed.z), unpack2x16snorm(packed.w));
    }
    return values;
}
