// Provides: color_texel, surface_texel: a texture pyramid's texels, level after level in two buffers.

// (base colour, roughness) and (metallic, slope, occlusion).
@group(0) @binding(9) var<storage, read> texels_color: array<vec4f>;
@group(0) @binding(10) var<storage, read> texels_surface: array<vec4f>;

fn color_texel(texel: u32, level: u32) -> vec4f {
    return texels_color[texel];
}

fn surface_texel(texel: u32, level: u32) -> vec4f {
    return texels_surface[texel];
}
