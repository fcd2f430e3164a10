// Provides: Bound, bound_at, reaches: which tiles a disc reaches.
#include splat_discs

@group(0) @binding(4) var<storage, read> discs: array<PackedDisc>;

alias Bound = Disc;

fn bound_at(splat: u32) -> Bound {
    return disc_of(discs[splat]);
}

fn reaches(bound: Bound, column: u32, row: u32) -> bool {
    return disc_reaches(bound, column, row);
}
