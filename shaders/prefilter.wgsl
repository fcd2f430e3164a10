// Provides: rows_to_modes, blur_modes, modes_to_texels: the blurs of a light, as engine/shading/prefilter.py has them.

// A blur is along a row of the map a circular convolution, so a fixed real matrix per Fourier mode: `operators` holds
// [modes, rows in, blur * height + row out]. Tables instead of the built-in cosine, which is only good to 2^-11.
struct Map {
    height: u32,
    width: u32, // even
    blurs: u32, // all but the first level, which is the light itself; irradiance is the last
}

@group(0) @binding(0) var<uniform> map: Map;
@group(0) @binding(1) var<storage, read> radiance: array<f32>; // [height,width,3]
@group(0) @binding(2) var<storage, read> turns: array<vec2f>; // [width] cosine and sine of 2 pi i / width
@group(0) @binding(3) var<storage, read> operators: array<f32>;
@group(0) @binding(4) var<storage, read_write> modes: array<vec2f>; // [modes,3,height]
@group(0) @binding(5) var<storage, read_write> blurred: array<vec2f>; // [modes,3,blurs * height]
@group(0) @binding(6) var<storage, read_write> texels: array<vec4f>; // as environment.wgsl lays them out

fn mode_count() -> u32 {
    return map.width / 2u + 1u;
}

// One invocation per row of the map (x) and mode (y).
@compute @workgroup_size(64)
fn rows_to_modes(@builtin(global_invocation_id) id: vec3u) {
    let row = id.x;
    let mode = id.y;
    if (row >= map.height || mode >= mode_count()) {
        return;
    }
    var real = vec3f(0.0);
    var imaginary = vec3f(0.0);
    for (var column = 0u; column < map.width; column++) {
        let at = 3u * (row * map.width + column);
        let value = vec3f(radiance[at], radiance[at + 1u], radiance[at + 2u]);
        let turn = turns[(mode * column) % map.width];
        real += value * turn.x;
        imaginary -= value * turn.y;
    }
    for (var k = 0u; k < 3u; k++) {
        modes[(mode * 3u + k) * map.height + row] = vec2f(real[k], imaginary[k]);
    }
}

// One invocation per row of a blur (x) and mode (y).
@compute @workgroup_size(64)
fn blur_modes(@builtin(global_invocation_id) id: vec3u) {
    let rows = map.blurs * map.height;
    let mode = id.y;
    if (id.x >= rows || mode >= mode_count()) {
        return;
    }
    let first = mode * 3u * map.height;
    var red = vec2f(0.0);
    var green = vec2f(0.0);
    var blue = vec2f(0.0);
    for (var row = 0u; row < map.height; row++) {
        let weight = operators[(mode * map.height + row) * rows + id.x];
        red += weight * modes[first + row];
        green += weight * modes[first + map.height + row];
        blue += weight * modes[first + 2u * map.height + row];
    }
    let out = mode * 3u * rows + id.x;
    blurred[out] = red;
    blurred[out + rows] = green;
    blurred[out + 2u * rows] = blue;
}

// One invocation per texel of a level with its border (x, y) and level (z).
@compute @workgroup_size(64)
fn modes_to_texels(@builtin(global_invocation_id) id: vec3u) {
    let stride = map.width + 2u;
    if (id.x >= stride || id.y >= map.height + 2u || id.z > map.blurs) {
        return;
    }
    let across = select(0u, map.width / 2u, id.y == 0u || id.y == map.height + 1u); // over a pole
    let row = clamp(id.y, 1u, map.height) - 1u;
    let column = (id.x + map.width - 1u + across) % map.width;
    var value = vec3f(0.0);
    if (id.z == 0u) {
        let at = 3u * (row * map.width + column);
        value = vec3f(radiance[at], radiance[at + 1u], radiance[at + 2u]);
    } else {
        let rows = map.blurs * map.height;
        let source = (id.z - 1u) * map.height + row;
        for (var mode = 0u; mode < mode_count(); mode++) {
            let turn = turns[(mode * column) % map.width] * vec2f(1.0, -1.0);
            let at = mode * 3u * rows + source;
            let share = select(2.0, 1.0, mode == 0u || 2u * mode == map.width);
            let red = dot(turn, blurred[at]);
            let green = dot(turn, blurred[at + rows]);
            value += share * vec3f(red, green, dot(turn, blurred[at + 2u * rows]));
        }
        value /= f32(map.width);
    }
    texels[(id.z * (map.height + 2u) + id.y) * stride + id.x] = vec4f(value, 0.0);
}
