// Provides: store, CHECK: the image and the transmittance that are filled by blending.
#include splat_blend

@group(0) @binding(5) var<storage, read_write> image: array<vec4f>; // [H,W]
@group(0) @binding(6) var<storage, read_write> transmittance: array<f32>; // [H,W]

const CHECK: u32 = 8u; // splats between looks at whether every pixel is closed

fn store(pixels: Pixels, column: Column, first: u32) {
    for (var k = 0u; k < 4u; k++) {
        let y = column.y + first + k;
        if (column.x < view.size.x && y < view.size.y) {
            let at = y * view.size.x + column.x;
            let c = pixels.color;
            image[at] = vec4f(c[0][k], c[1][k], c[2][k], c[3][k]);
            transmittance[at] = pixels.clear[k];
        }
    }
}
