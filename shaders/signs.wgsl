// Provides: lowbias32, sign_at: the counter-based random signs, the same bits as engine/kernels/signs.py.

// A hash that is a bijection of the 32-bit integers (Wellons, 2018).
fn lowbias32(value: u32) -> u32 {
    var x = value;
    x ^= x >> 16u;
    x *= 0x7feb352du;
    x ^= x >> 15u;
    x *= 0x846ca68bu;
    return x ^ (x >> 16u);
}

// +1 or -1 of the parameter `index` under the `key` of seed, step and group.
fn sign_at(key: u32, index: u32) -> f32 {
    return select(1.0, -1.0, (lowbias32(index ^ key) & 0x80000000u) != 0u);
}

// The signs of the three components of row `index` of a group with three.
fn signs_at(key: u32, index: u32) -> vec3f {
    return vec3f(sign_at(key, 3u * index), sign_at(key, 3u * index + 1u), sign_at(key, 3u * index + 2u));
}
