// Provides: Surface, what a shading function is told about the point it shades.

// A shading is an include named `shading` that provides `fn shade(surface: Surface) -> vec3f`: linear radiance toward
// the camera. It may include environment, which is bind group 1; of its own it has no bindings, directives and screen
// derivatives.
struct Surface {
    position: vec3f, // world
    normal: vec3f, // world, unit, the shading normal; may face away from the camera at silhouettes
    toward: vec3f, // world, unit, from the point to the camera
    base_color: vec3f, // linear, in [0,1]
    roughness: f32, // in [0,1]
    metallic: f32, // in [0,1]
    occlusion: f32, // in [0,1], 1 = open
    uv: vec2f, // in [0,1], origin top-left
    pixel: vec2f, // image coordinates, pixel centres at .5
}
