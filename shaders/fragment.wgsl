// Provides: Fragment, fragment_at, footprint_level: where on a triangle a pixel's centre lies, recomputed analytically.

const SLIVER = 0.01; // further outside lies only what the hardware's snapping made a triangle cover

struct Fragment {
    weights: vec3f, // of the triangle's vertices, perspective-correct
    slope_x: vec3f, // their derivatives along the image's axes, per pixel
    slope_y: vec3f,
}

// Homogeneous edge functions (Olano and Greer 1997) about the pixel's centre: a, b, c are clip positions, `size` is
// (width, height) of the image.
fn fragment_at(a: vec4f, b: vec4f, c: vec4f, pixel: vec2f, size: vec2f) -> Fragment {
    let half_size = 0.5 * size;
    let w = vec3f(a.w, b.w, c.w);
    let x = (vec3f(a.x, b.x, c.x) + w) * half_size.x - pixel.x * w;
    let y = (vec3f(a.y, b.y, c.y) + w) * half_size.y - pixel.y * w;
    let edges = x.yzx * y.zxy - x.zxy * y.yzx;
    let along_x = w.zxy * y.yzx - w.yzx * y.zxy;
    let along_y = w.yzx * x.zxy - w.zxy * x.yzx;
    let total = edges.x + edges.y + edges.z;
    let inverse = select(0.0, 1.0 / total, total != 0.0);
    var weights = edges * inverse;
    let sum_x = along_x.x + along_x.y + along_x.z;
    let sum_y = along_y.x + along_y.y + along_y.z;
    let slope_x = (along_x - sum_x * weights) * inverse;
    let slope_y = (along_y - sum_y * weights) * inverse;
    if (min(weights.x, min(weights.y, weights.z)) < -SLIVER) {
        let inside = max(weights, vec3f(0.0));
        weights = inside / (inside.x + inside.y + inside.z);
    }
    return Fragment(weights, slope_x, slope_y);
}

// The mip level at which a texel is about a pixel wide along the wider of the footprint's two image axes, at least 0;
// `uv` are the three corners' and `size` is (width, height) of level 0 in texels.
fn footprint_level(fragment: Fragment, uv_a: vec2f, uv_b: vec2f, uv_c: vec2f, size: vec2f) -> f32 {
    let along_x = (fragment.slope_x.x * uv_a + fragment.slope_x.y * uv_b + fragment.slope_x.z * uv_c) * size;
    let along_y = (fragment.slope_y.x * uv_a + fragment.slope_y.y * uv_b + fragment.slope_y.z * uv_c) * size;
    let squared = max(dot(along_x, along_x), dot(along_y, along_y));
    return 0.5 * log2(max(squared, 1.0));
}
