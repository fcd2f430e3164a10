// Provides: color_texel, surface_texel: as loop_texels_buffer, in two images, whose size no binding limits.
#include loop_step
#include texture

@group(0) @binding(9) var texels_color: texture_2d<f32>;
@group(0) @binding(10) var texels_surface: texture_2d<f32>;

// Column and row in its level of a texel that is numbered through the pyramid.
fn texel_place(texel: u32, level: u32) -> vec2u {
    let inside = texel - texture_level_start(now.texture_size, level);
    let width = texture_level_size(now.texture_size, level).x;
    return vec2u(inside % width, inside / width);
}

fn color_texel(texel: u32, level: u32) -> vec4f {
    return textureLoad(texels_color, texel_place(texel, level), level);
}

fn surface_texel(texel: u32, level: u32) -> vec4f {
    return textureLoad(texels_surface, texel_place(texel, level), level);
}
