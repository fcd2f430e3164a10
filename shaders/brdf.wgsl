// Provides: facing_normal, lobe_share, specular_occlusion, normal_reflectance: the split sum's surface terms.

const MIN_FACING: f32 = 0.01; // the least cosine between shading normal and view
const DIELECTRIC: f32 = 0.04; // reflectance at normal incidence of what is no metal

// The unit normal bent toward `toward` until it faces it, as interpolated normals at silhouettes may not.
fn facing_normal(normal: vec3f, toward: vec3f) -> vec3f {
    let unit = normal * inverseSqrt(max(dot(normal, normal), 1e-20));
    let bent = unit + max(MIN_FACING - dot(unit, toward), 0.0) * toward;
    return bent * inverseSqrt(max(dot(bent, bent), 1e-20));
}

// Share of the way from normal to mirror direction where a lobe is strongest (Lagarde and de Rousiers 2014, 4.9.3).
fn lobe_share(roughness: f32) -> f32 {
    let alpha = roughness * roughness;
    let smoothness = max(1.0 - alpha, 0.0);
    return smoothness * (sqrt(smoothness) + alpha);
}

// How much of a lobe sees the light, from ambient occlusion (Lagarde and de Rousiers 2014, 4.10.2).
fn specular_occlusion(cosine: f32, occlusion: f32, roughness: f32) -> f32 {
    let power = exp2(-16.0 * roughness - 1.0);
    let raised = exp2(power * log2(max(cosine + occlusion, 1e-20)));
    return clamp(raised - 1.0 + occlusion, 0.0, 1.0);
}

// F0: what is reflected at normal incidence.
fn normal_reflectance(base_color: vec3f, metallic: f32) -> vec3f {
    return DIELECTRIC + metallic * (base_color - DIELECTRIC);
}
