// Provides: Work, what a step's list of covered pixels asks of the pass over it, and WORK_ROW.

// `set_scale` writes it; it is that pass's uniform, and the counts of workgroups in front are its indirect dispatch.
struct Work {
    groups_x: u32, // full rows of WORK_ROW pixels where there is more than one
    groups_y: u32,
    groups_z: u32,
    covered: u32, // pixels that show a triangle on either side
    differing: u32, // those of them that show another triangle on either side
    scale: f32, // of the step's fixed point
    limit: f32, // the largest difference that it can hold
}

const WORK_ROW = 65536u;
const WORK_GROUP = 64u;
