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

const TEXTURE = GROUP == GROUP_BASE_COLOR || GROUP == GROUP_ROUGHNESS_METALLIC || GROUP == GROUP_NORMAL_MAP;
// The corners of a tetrahedron, to which a pixel's channels are moved: four losses tell three slopes apart; the same as
// engine/raster/stochastic/pixel_credit.py's.
const WAYS = array<vec3f, 4>(
    vec3f(1.0, 1.0, 1.0),
    vec3f(1.0, -1.0, -1.0),
    vec3f(-1.0, 1.0, -1.0),
    vec3f(-1.0, -1.0, 1.0),
);
const USED = select(vec3f(1.0, 1.0, 0.0), vec3f(1.0), GROUP == GROUP_BASE_COLOR); // of the three channels

// How a pixel that shows `surface` differs from the photo; -1 where its colour is not finite, which the tone's max()
// would hide.
fn loss_of_surface(surface: Surface, wanted: vec4f) -> f32 {
    let color = shade(surface);
    if (!finite(color.x) || !finite(color.y) || !finite(color.z)) {
        return -1.0;
    }
    return pixel_loss(color, 1.0, wanted, view.mask);
}

// The same on one side of the perturbation of what is no texture.
fn loss_of_side(id: u32, pixel: vec2f, wanted: vec4f, section: u32) -> f32 {
    if (id == 0u) {
        return pixel_loss(vec3f(0.0), 0.0, wanted, view.mask);
    }
    return loss_of_surface(surface_at(id, pixel, section), wanted);
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
    var sides = vec2f(0.0); // of textures, means of two losses each
    var difference = vec3f(0.0); // between both sides, of textures per channel
    var known = true;
    if (TEXTURE) {
        let surface = surface_at(id_plus, pixel, 0u);
        for (var k = 0u; k < 4u; k++) {
            let way = WAYS[k];
            let loss = loss_of_surface(surface_moved(surface, now.eps * way), wanted);
            known = known && loss >= 0.0 && finite(loss);
            difference += 0.5 * loss * way * USED;
            sides[k / 2u] += 0.5 * loss;
        }
    } else {
        credit_side(1.0);
        let plus = loss_of_side(id_plus, pixel, wanted, 0u);
        credit_side(-1.0);
        let minus = loss_of_side(id_minus, pixel, wanted, section_minus);
        known = plus >= 0.0 && minus >= 0.0 && finite(plus) && finite(minus);
        sides = vec2f(plus, minus);
        difference.x = plus - minus;
    }
    if (!known) {
        atomicAdd(&sums.head[COUNT_NOT_FINITE], 1);
        losses[index] = vec2f(0.0);
        return;
    }
    losses[index] = sides;
    let most = max(max(abs(difference.x), abs(difference.y)), abs(difference.z));
    let size = bitcast<i32>(most); // non-negative floats are ordered as their bits are
    if (size > atomicLoad(&sums.head[LARGEST])) {
        atomicMax(&sums.head[LARGEST], size);
    }
    let scaled = clamp(difference, vec3f(-work.limit), vec3f(work.limit)) * work.scale;
    if (any(abs(scaled) > vec3f(NOTHING))) {
        credit(scaled, id_plus, id_minus, id.y);
    }
}
