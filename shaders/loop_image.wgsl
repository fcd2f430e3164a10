// Provides: image, the scene as it is from one camera: linear radiance and coverage.
#include loop_surface
#include shading or normal_color
#include light_use or light_unbound

@group(0) @binding(4) var ids: texture_2d<u32>;
@group(0) @binding(7) var colors: texture_storage_2d<rgba32float, write>;

@compute @workgroup_size(8, 8)
fn image(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= view.size.x || id.y >= view.size.y) {
        return;
    }
    if (now.vertices == 0u) {
        textureStore(colors, id.xy, vec4f(light_bound(), 0.0, 0.0));
    }
    let triangle = textureLoad(ids, id.xy, 0).x;
    var color = vec4f(0.0);
    if (triangle != 0u) {
        color = vec4f(shade(surface_at(triangle, vec2f(id.xy) + 0.5, 0u)), 1.0);
    }
    textureStore(colors, id.xy, color);
}
