// Provides: pixels, the losses and credit of a step's covered pixels: both sides shaded and compared with the photo.
#include loop_surface
#include loop_sums
#include loop_work
#include loss
#include shading or normal_color
#include light_use or light_unbound
#include loop_credit or credit_vertices

@group(0) @binding(4) var ids_plus: texture_2d<u32>;
@group(0) @binding(5) var ids_minus: texture_2d<u32>;
@group(0) @binding(6) var photo: texture_2d<f32>;
@group(0) @binding(7) var<storage, read_write> losses: array<vec2f>; // of both sides, 0 where one is not finite
@group(0) @binding(11) var<storage, read> covered: array<u32>; // as list_covered has them
@group(0) @binding(12) var<uniform> work: Work;

// One pixel of the image at theta + `side` eps s: how it differs from the photo; -1 where its colour is not finite,
// which the tone's max() would hide.
fn loss_of_side(id: u32, pixel: vec2f, wanted: vec4f, side: f32, section: u32) -> f32 {
    if (id == 0u) {
        return pixel_loss(vec3f(0.0), 0.0, wanted, view.mask);
    }
    let color = shade(surface_at(id, pixel, side, section));
    if (!finite(color.x) || !finite(color.y) || !finite(color.z)) {
        return -1.0;
    }
    return pixel_loss(color, 1.0, wanted, view.mask);
}

@compute @workgroup_size(64)
fn pixels(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) local: u32) {
    let group = WORK_ROW * workgroup.y + workgroup.x;
    var band = 0u;
    for (var next = 1u; next < BANDS; next++) {
        band += u32(group >= work.bands[next].first);
    }
    let number = (group - work.bands[band].first) * WORK_GROUP + local;
    if (number >= work.bands[band].covered) {
        return;
    }
    let rows = band_rows(view.size.y);
    let front = view.size.x * band * rows;
    let past = view.size.x * min((band + 1u) * rows, view.size.y); // the other ones count down from here
    let differing = work.bands[band].differing;
    let entry = covered[select(past - 1u - (number - differing), front + number, number < differing)];
    let id = vec2u(entry & 0xffffu, entry >> 16u);
    let index = id.y * view.size.x + id.x;
    let pixel = vec2f(id) + 0.5;
    let wanted = textureLoad(photo, id, 0);
    let id_plus = textureLoad(ids_plus, id, 0).x;
    var id_minus = id_plus;
    var section_minus = 0u;
    if (GROUP == GROUP_VERTICES || GROUP == GROUP_CAMERA_POSE || GROUP == GROUP_DISPLACEMENT) {
        id_minus = textureLoad(ids_minus, id, 0).x;
        section_minus = 1u;
    }
    if (now.vertices == 0u) {
        losses[0] = light_bound();
    }
    credit_side(1.0);
    let plus = loss_of_side(id_plus, pixel, wanted, 1.0, 0u);
    credit_side(-1.0);
    let minus = loss_of_side(id_minus, pixel, wanted, -1.0, section_minus);
    if (plus < 0.0 || minus < 0.0 || !finite(plus) || !finite(minus)) {
        atomicAdd(&sums.head[COUNT_NOT_FINITE], 1);
        losses[index] = vec2f(0.0);
        return;
    }
    losses[index] = vec2f(plus, minus);
    let difference = plus - minus;
    let size = bitcast<i32>(abs(difference)); // non-negative floats are ordered as their bits are
    if (size > atomicLoad(&sums.head[LARGEST])) {
        atomicMax(&sums.head[LARGEST], size);
    }
    let amount = amount_of(clamp(difference, -work.limit, work.limit) * work.scale);
    if (amount != Amount(0)) {
        credit(amount, id_plus, id_minus, id.y);
    }
}
