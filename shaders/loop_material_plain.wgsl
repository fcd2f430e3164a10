// Provides: Material, material_at, material_moved, material_normal without textures: grey and rough.
#include surface

struct Material {
    base_color: vec3f,
    roughness: f32,
    metallic: f32,
    occlusion: f32,
}

fn material_at(uv: vec2f, level: f32) -> Material {
    return Material(vec3f(0.5), 0.6, 0.0, 1.0);
}

fn material_moved(material: Material, way: vec3f) -> Material {
    return material;
}

fn material_normal(material: Material, normal: vec3f, tangent: vec4f) -> vec3f {
    return normal / max(length(normal), 1e-12);
}
