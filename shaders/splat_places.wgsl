// Provides: count_places, fill_places: the splats in their tiles, front to back.
#include bounds or splat_bounds

// A slot is a splat in one of its tiles; those of the nearest splat come first. A place is one in the order of tiles.
struct Amounts {
    splats: u32,
    places: u32, // that there is room for
    wanted: u32, // that there are
}

@group(0) @binding(1) var<storage, read> boxes: array<vec3u>;
@group(0) @binding(2) var<storage, read> order: array<u32>; // [N] splats by depth, equal depths by index
@group(0) @binding(3) var<storage, read_write> table: array<u32>; // [N] in that order: tiles, then the first slot
@group(0) @binding(5) var<storage, read_write> slots: array<vec2u>; // [N] first, count
@group(0) @binding(6) var<storage, read_write> tile_of: array<u32>; // of each slot; once sorted, of each place
@group(0) @binding(7) var<storage, read_write> splat_of: array<u32>; // of each slot
@group(0) @binding(8) var<storage, read_write> amounts: Amounts;

@compute @workgroup_size(64)
fn count_places(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let rank = id.y * groups.x * FOLDED + id.x;
    if (rank < view.count) {
        table[rank] = boxes[order[rank]].z;
    }
}

// What a compiler rounds otherwise than in `project_splats` may tell of a tile more or less, where alpha is below its
// least: slots that are left over belong to no tile.
@compute @workgroup_size(64)
fn fill_places(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let rank = id.y * groups.x * FOLDED + id.x;
    if (rank >= view.count) {
        return;
    }
    let splat = order[rank];
    let box = boxes[splat];
    var slot = table[rank];
    let past = slot + min(box.z, 0xffffffffu - slot);
    let end = min(past, view.capacity);
    slots[splat] = vec2u(slot, box.z);
    if (rank == view.count - 1u) {
        amounts.places = end;
        amounts.wanted = past;
    }
    if (box.z > 0u) {
        let bound = bound_at(splat);
        for (var row = box.y & 0xffffu; row < (box.y >> 16u); row++) {
            for (var column = box.x & 0xffffu; column < (box.x >> 16u); column++) {
                if (slot < end && reaches(bound, column, row)) {
                    tile_of[slot] = row * view.columns + column;
                    splat_of[slot] = splat;
                    slot++;
                }
            }
        }
        for (; slot < end; slot++) {
            tile_of[slot] = view.tiles;
            splat_of[slot] = splat;
        }
    }
}
