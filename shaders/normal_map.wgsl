// Provides: bent_normal, an interpolated normal turned by a tangent-space normal map as MikkTSpace says.

// Normal and tangent are as interpolated, not renormalised; tangent.w is the bitangent's sign; texel need not be unit.
fn bent_normal(normal: vec3f, tangent: vec4f, texel: vec3f) -> vec3f {
    let bitangent = tangent.w * cross(normal, tangent.xyz);
    let bent = texel.x * tangent.xyz + texel.y * bitangent + texel.z * normal;
    return bent / max(length(bent), 1e-12);
}
