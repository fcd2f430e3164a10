// Provides: Work, what a step's lists of covered pixels ask of the pass over them, Band, band_rows.

// A list per band of the image's rows, so that processors that share the work seldom add to the same sums.
const BANDS = 8u;
const WORK_ROW = 1024u; // workgroups
const WORK_GROUP = 64u; // pixels

struct Band {
    first: u32, // of its workgroups
    covered: u32, // pixels that show a triangle on either side
    differing: u32, // those of them that show another triangle on either side
    unused: u32,
}

// `set_scale` writes it; it is that pass's uniform, and the counts of workgroups in front are its indirect dispatch.
struct Work {
    groups_x: u32, // WORK_ROW where there is more than one row
    groups_y: u32,
    groups_z: u32,
    scale: f32, // of the step's fixed point
    limit: f32, // the largest difference that it can hold
    @align(16) bands: array<Band, BANDS>,
}

fn band_rows(height: u32) -> u32 {
    return (height + BANDS - 1u) / BANDS;
}
