// Provides: barycentrics(a, b, c, at), where on a triangle given in clip space a pixel centre lies.

const SLIVER = 0.01; // further outside than this lies only what the hardware's snapping made a triangle cover

// Perspective-correct weights of the corners, recomputed since hardware barycentrics are off by up to 1.6e-3.
// at = (x/w, y/w) of the pixel centre. Homogeneous edge functions (Olano and Greer 1997), as engine/raster has them.
fn barycentrics(a: vec4f, b: vec4f, c: vec4f, at: vec2f) -> vec3f {
    let p = a.xy - at * a.w;
    let q = b.xy - at * b.w;
    let r = c.xy - at * c.w;
    let edges = vec3f(q.x * r.y - r.x * q.y, r.x * p.y - p.x * r.y, p.x * q.y - q.x * p.y);
    let total = edges.x + edges.y + edges.z;
    if total == 0.0 {
        return vec3f(1.0 / 3.0);
    }
    let weights = edges / total;
    if min(weights.x, min(weights.y, weights.z)) >= -SLIVER {
        return weights;
    }
    let inside = max(weights, vec3f(0.0));
    return inside / (inside.x + inside.y + inside.z);
}
