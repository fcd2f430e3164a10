// Provides: find_tiles: the first place of each tile, and the splat at each place.
#include splat_view

@group(0) @binding(1) var<storage, read> amounts: array<u32>; // splats, places
@group(0) @binding(2) var<storage, read> tile_of: array<u32>; // of each place, sorted
@group(0) @binding(3) var<storage, read> slot_of: array<u32>;
@group(0) @binding(4) var<storage, read> splat_of: array<u32>; // of each slot
@group(0) @binding(5) var<storage, read_write> splats: array<vec2u>; // at each place: the splat, and its slot
@group(0) @binding(6) var<storage, read_write> starts: array<u32>; // [tiles+1]

@compute @workgroup_size(64)
fn find_tiles(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let place = id.y * groups.x * FOLDED + id.x;
    let places = amounts[1];
    if (place > places) {
        return;
    }
    var tile = 0u;
    if (place > 0u) {
        tile = tile_of[place - 1u] + 1u;
    }
    var last = view.tiles;
    if (place < places) {
        last = tile_of[place];
        splats[place] = vec2u(splat_of[slot_of[place]], slot_of[place]);
    }
    for (; tile <= last; tile++) {
        starts[tile] = place;
    }
}
