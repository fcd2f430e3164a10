// Provides: shade, the split sum (Karis 2013) under a prefiltered light, as engine/shading/split_sum.py defines it.
#include surface
#include brdf
#include environment

struct Shaded {
    diffuse: vec3f, // base colour included
    specular: vec3f,
}

// The two parts of the radiance, before they are added.
fn shade_parts(surface: Surface) -> Shaded {
    let bent = facing_normal(surface.normal, surface.toward);
    let cosine = dot(bent, surface.toward);
    let normal = light.environment_from_world * bent;
    let toward = light.environment_from_world * surface.toward;
    let roughness = clamp(surface.roughness, 0.0, 1.0);
    let lobe = normal + lobe_share(roughness) * ((2.0 * cosine - 1.0) * normal - toward);
    let terms = light_albedo(roughness, clamp(cosine, 0.0, 1.0));
    let albedo = normal_reflectance(surface.base_color, surface.metallic) * terms.x + terms.y;
    let irradiance = light_from(light.levels, normal);
    let open = specular_occlusion(cosine, surface.occlusion, roughness);
    let diffuse = (1.0 - surface.metallic) * surface.base_color * (1.0 - albedo) * irradiance * surface.occlusion;
    return Shaded(diffuse, albedo * light_blurred(roughness, lobe) * open);
}

fn shade(surface: Surface) -> vec3f {
    let parts = shade_parts(surface);
    return parts.diffuse + parts.specular;
}
