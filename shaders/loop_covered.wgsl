// Provides: list_covered, the pixels that show a triangle on either side, listed; the losses of all others.
#include loop_step
#include loop_sums
#include loop_work
#include loss

@group(0) @binding(4) var ids_plus: texture_2d<u32>;
@group(0) @binding(5) var ids_minus: texture_2d<u32>;
@group(0) @binding(6) var photo: texture_2d<f32>;
@group(0) @binding(7) var<storage, read_write> losses: array<vec2f>; // as in loop_pixels
// Column and row, 16 bits each: from the front of a band those whose two triangles differ, whose credit takes longest,
// so that neighbouring invocations of the pass over them are alike; from the band's last pixel backwards the others.
@group(0) @binding(11) var<storage, read_write> covered: array<u32>;

const RUN = 32u; // pixels of a row that one invocation lists, so that atomics are few

fn bit(shown: bool, x: u32) -> u32 {
    return select(0u, 1u << (x % RUN), shown);
}

// One invocation per run of pixels (x) and row (y).
@compute @workgroup_size(8, 8)
fn list_covered(@builtin(global_invocation_id) id: vec3u) {
    let first = RUN * id.x;
    if (first >= view.size.x || id.y >= view.size.y) {
        return;
    }
    var differing = 0u; // a bit per pixel of the run
    var others = 0u;
    var empty = 0u;
    for (var x = first; x < min(first + RUN, view.size.x); x++) {
        let plus = textureLoad(ids_plus, vec2u(x, id.y), 0).x;
        var minus = plus;
        if (GROUP == GROUP_VERTICES || GROUP == GROUP_CAMERA_POSE || GROUP == GROUP_DISPLACEMENT) {
            minus = textureLoad(ids_minus, vec2u(x, id.y), 0).x;
        }
        let differ = plus != minus && plus != 0u && minus != 0u;
        let none = (plus | minus) == 0u;
        differing |= bit(differ, x);
        others |= bit(!differ && !none, x);
        empty |= bit(none, x);
    }
    let row = id.y << 16u;
    let rows = band_rows(view.size.y);
    let band = id.y / rows;
    var place = 0u;
    if (differing != 0u) {
        let before = u32(atomicAdd(&sums.head[DIFFERING + band], i32(countOneBits(differing))));
        place = view.size.x * band * rows + before;
    }
    for (; differing != 0u; differing &= differing - 1u) {
        covered[place] = row | (first + firstTrailingBit(differing));
        place++;
    }
    if (others != 0u) {
        let before = u32(atomicAdd(&sums.head[OTHERS + band], i32(countOneBits(others))));
        place = view.size.x * min((band + 1u) * rows, view.size.y) - before;
    }
    for (; others != 0u; others &= others - 1u) {
        place--;
        covered[place] = row | (first + firstTrailingBit(others));
    }
    for (; empty != 0u; empty &= empty - 1u) {
        let x = first + firstTrailingBit(empty);
        let loss = pixel_loss(vec3f(0.0), 0.0, textureLoad(photo, vec2u(x, id.y), 0), view.mask);
        let known = finite(loss);
        losses[id.y * view.size.x + x] = vec2f(select(0.0, loss, known));
        if (!known) {
            atomicAdd(&sums.head[COUNT_NOT_FINITE], 1);
        }
    }
}
