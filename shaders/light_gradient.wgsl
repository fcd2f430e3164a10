// Provides: fold, unblur, light_adam: the credit of a light's blurs pulled back to the light, and its step of Adam.

// Every texel of every blur was perturbed and credited as a parameter of its own. The blurs are linear in the light, so
// that their transpose, exact, takes the gradient back: a circular convolution along rows that is even in the offset,
// so that its transpose swaps input and output rows in each Fourier mode of prefilter.wgsl. Between fold and unblur
// stands rows_to_modes of that file. The parameter is the logarithm of the radiance.
#include loop_step
#include loop_credited

struct Light {
    height: u32,
    width: u32, // even
    blurs: u32, // all levels but the first, which is the light itself
    unused: u32,
}

@group(0) @binding(2) var<uniform> sizes: Light;
@group(0) @binding(3) var<storage, read> texels: array<vec4f>; // as environment.wgsl lays them out
@group(0) @binding(4) var<storage, read_write> folded: array<f32>; // [blurs + 1,height,width,3]; the light comes last
@group(0) @binding(5) var<storage, read> modes: array<vec2f>; // [modes,3,blurs * height] of the folded blurs
@group(0) @binding(6) var<storage, read> operators: array<f32>; // [modes,height,blurs * height]
@group(0) @binding(7) var<storage, read_write> pulled: array<vec2f>; // [modes,3,height]
@group(0) @binding(9) var<storage, read> turns: array<vec2f>; // [width] cosine and sine of 2 pi i / width
@group(0) @binding(10) var<storage, read_write> radiance: array<f32>; // [height,width,3]
@group(0) @binding(11) var<storage, read_write> moments: array<vec2f>; // [height,width,3] first and second

fn mode_count() -> u32 {
    return sizes.width / 2u + 1u;
}

// Gradient with respect to one texel of a blur with its border.
fn of_texel(layer: u32, y: u32, x: u32) -> vec3f {
    let index = (layer * (sizes.height + 2u) + y) * (sizes.width + 2u) + x;
    let sum = f32(credit_of(index));
    let factor = 0.5 / (now.eps * loop_scale() * f32(view.size.x * view.size.y));
    return sum * factor * signs_at(now.key, index) / max(texels[index].xyz, vec3f(1e-6));
}

// The texels of one row with its border that stand for `column` when the row is shifted by `across`.
fn of_row(layer: u32, y: u32, column: u32, across: u32) -> vec3f {
    let x = (column + 1u + sizes.width - across) % sizes.width;
    var total = of_texel(layer, y, x);
    if (x + sizes.width < sizes.width + 2u) {
        total += of_texel(layer, y, x + sizes.width);
    }
    return total;
}

// One invocation per column (x), row (y) and level (z): what the texel and its copies in the border are credited.
@compute @workgroup_size(64)
fn fold(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.width || id.y >= sizes.height || id.z > sizes.blurs) {
        return;
    }
    var total = of_row(id.z, id.y + 1u, id.x, 0u);
    if (id.y == 0u) {
        total += of_row(id.z, 0u, id.x, sizes.width / 2u);
    }
    if (id.y == sizes.height - 1u) {
        total += of_row(id.z, sizes.height + 1u, id.x, sizes.width / 2u);
    }
    let layer = select(id.z - 1u, sizes.blurs, id.z == 0u);
    let at = 3u * ((layer * sizes.height + id.y) * sizes.width + id.x);
    folded[at] = total.x;
    folded[at + 1u] = total.y;
    folded[at + 2u] = total.z;
}

// One invocation per row of the light (x) and mode (y).
@compute @workgroup_size(64)
fn unblur(@builtin(global_invocation_id) id: vec3u) {
    let mode = id.y;
    if (id.x >= sizes.height || mode >= mode_count()) {
        return;
    }
    let rows = sizes.blurs * sizes.height;
    let first = mode * 3u * rows;
    var red = vec2f(0.0);
    var green = vec2f(0.0);
    var blue = vec2f(0.0);
    for (var row = 0u; row < rows; row++) {
        let weight = operators[(mode * sizes.height + id.x) * rows + row];
        red += weight * modes[first + row];
        green += weight * modes[first + rows + row];
        blue += weight * modes[first + 2u * rows + row];
    }
    let out = mode * 3u * sizes.height + id.x;
    pulled[out] = red;
    pulled[out + sizes.height] = green;
    pulled[out + 2u * sizes.height] = blue;
}

// One invocation per column (x) and row (y).
@compute @workgroup_size(64)
fn light_adam(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.width || id.y >= sizes.height) {
        return;
    }
    var gradient = vec3f(0.0);
    for (var mode = 0u; mode < mode_count(); mode++) {
        let turn = turns[(mode * id.x) % sizes.width] * vec2f(1.0, -1.0);
        let at = mode * 3u * sizes.height + id.y;
        let share = select(2.0, 1.0, mode == 0u || 2u * mode == sizes.width) / f32(sizes.width);
        let green = at + sizes.height;
        let blue = green + sizes.height;
        gradient += share * vec3f(dot(turn, pulled[at]), dot(turn, pulled[green]), dot(turn, pulled[blue]));
    }
    let texel = 3u * (id.y * sizes.width + id.x);
    let own = 3u * sizes.blurs * sizes.height * sizes.width + texel;
    for (var k = 0u; k < 3u; k++) {
        let value = radiance[texel + k];
        let slope = (gradient[k] + folded[own + k]) * value; // of the logarithm
        let before = moments[texel + k];
        let first = mix(slope, before.x, now.beta1);
        let second = mix(slope * slope, before.y, now.beta2);
        moments[texel + k] = vec2f(first, second);
        let change = now.rate * now.correction1 * first / (sqrt(second * now.correction2) + 1e-20);
        radiance[texel + k] = clamp(value * exp(-change), 1e-4, 1e5);
    }
}
