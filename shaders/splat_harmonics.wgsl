// Provides: harmonic_basis, harmonic_slope: spherical harmonics of degree 0 to 3 with the signs of 3DGS files.
const C0: f32 = 0.28209479177387814;
const C1: f32 = 0.4886025119029199;
const C2A: f32 = 1.0925484305920792;
const C2B: f32 = 0.31539156525252005;
const C2C: f32 = 0.5462742152960396;
const C3A: f32 = 0.5900435899266435;
const C3C: f32 = 0.4570457994644658;
const C3D: f32 = 0.3731763325901154;
const C3E: f32 = 1.4453057213202769;

// The first (degree+1)^2 values for a unit direction; the rest stay as they are.
fn harmonic_basis(d: vec3f, degree: u32, values: ptr<function, array<f32, 16>>) {
    let x = d.x;
    let y = d.y;
    let z = d.z;
    (*values)[0] = C0;
    if (degree > 0u) {
        (*values)[1] = -C1 * y;
        (*values)[2] = C1 * z;
        (*values)[3] = -C1 * x;
    }
    if (degree > 1u) {
        (*values)[4] = C2A * x * y;
        (*values)[5] = -C2A * y * z;
        (*values)[6] = C2B * (3.0 * z * z - 1.0);
        (*values)[7] = -C2A * x * z;
        (*values)[8] = C2C * (x * x - y * y);
    }
    if (degree > 2u) {
        (*values)[9] = -C3A * y * (3.0 * x * x - y * y);
        (*values)[10] = 2.0 * C3E * x * y * z;
        (*values)[11] = -C3C * y * (5.0 * z * z - 1.0);
        (*values)[12] = C3D * z * (5.0 * z * z - 3.0);
        (*values)[13] = -C3C * x * (5.0 * z * z - 1.0);
        (*values)[14] = C3E * z * (x * x - y * y);
        (*values)[15] = -C3A * x * (x * x - 3.0 * y * y);
    }
}

// The gradient of the sum of the values weighted by `w`, to a direction of any length.
fn harmonic_slope(d: vec3f, degree: u32, w: ptr<function, array<f32, 16>>) -> vec3f {
    let x = d.x;
    let y = d.y;
    let z = d.z;
    var slope = vec3f(0.0);
    if (degree > 0u) {
        slope = C1 * vec3f(-(*w)[3], -(*w)[1], (*w)[2]);
    }
    if (degree > 1u) {
        slope.x += C2A * (y * (*w)[4] - z * (*w)[7]) + 2.0 * C2C * x * (*w)[8];
        slope.y += C2A * (x * (*w)[4] - z * (*w)[5]) - 2.0 * C2C * y * (*w)[8];
        slope.z += -C2A * (y * (*w)[5] + x * (*w)[7]) + 6.0 * C2B * z * (*w)[6];
    }
    if (degree > 2u) {
        let ring = 5.0 * z * z - 1.0;
        let square = x * x - y * y;
        slope.x += -6.0 * C3A * x * y * (*w)[9] + 2.0 * C3E * y * z * (*w)[10] - C3C * ring * (*w)[13];
        slope.x += 2.0 * C3E * x * z * (*w)[14] - 3.0 * C3A * square * (*w)[15];
        slope.y += -3.0 * C3A * square * (*w)[9] + 2.0 * C3E * x * z * (*w)[10] - C3C * ring * (*w)[11];
        slope.y += -2.0 * C3E * y * z * (*w)[14] + 6.0 * C3A * x * y * (*w)[15];
        slope.z += 2.0 * C3E * x * y * (*w)[10] - 10.0 * C3C * z * (y * (*w)[11] + x * (*w)[13]);
        slope.z += C3D * (15.0 * z * z - 3.0) * (*w)[12] + C3E * square * (*w)[14];
    }
    return slope;
}
