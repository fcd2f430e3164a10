// Provides: Bound, bound_at, reaches: which tiles an ellipse reaches.
#include splat_tiles

@group(0) @binding(4) var<storage, read> ellipses: array<PackedEllipse>;

alias Bound = Ellipse;

fn bound_at(splat: u32) -> Bound {
    return ellipse_of(ellipses[splat]);
}

fn reaches(bound: Bound, column: u32, row: u32) -> bool {
    return touches(bound, column, row);
}
