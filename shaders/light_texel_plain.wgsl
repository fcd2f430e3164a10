// Provides: light_texels, the binding of environment.wgsl, and light_texel, one of its blurs' texels as it is.
@group(1) @binding(0) var<storage, read> light_texels: array<vec4f>;

fn light_texel(index: u32) -> vec3f {
    return light_texels[index].xyz;
}
