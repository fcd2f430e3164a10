// Provides: SplatView, view, pose_row, is_finite: the camera, and the numbers that all splatters agree on.
#constant LOW_PASS = 0.3
#constant ALPHA_MAX = 0.99
#constant ALPHA_MIN = 0.00392156862745098
#constant STOP = 0.0001
#constant NEAR = 0.01
#constant EXPONENTIAL = false
#constant DEEP = false

struct SplatView {
    rows: array<vec4f, 3>, // camera from world
    position: vec4f,
    lens: vec4f, // fx, fy, and the limits of x/z and y/z
    centre: vec2f,
    size: vec2u, // width, height
    count: u32,
    terms: u32, // harmonics that each splat has
    degree: u32, // of those that are used
    antialiased: u32,
    extra: u32, // 1: there is a fourth channel
    columns: u32, // of tiles
    tiles: u32,
    capacity: u32, // places there is room for
    zero: u32,
}

const SIDE: u32 = 16u; // pixels of a tile
const FOLDED: u32 = 64u; // invocations of a workgroup whose number is folded into rows

@group(0) @binding(0) var<uniform> view: SplatView;

// A row of camera from world. Its place is not said to be constant: lavapipe makes a program of its own for each value
// of what it finds at a constant place and decides by, which is one for every pose.
fn pose_row(k: u32) -> vec4f {
    return view.rows[k + view.zero];
}

// Comparisons do not tell: a compiler may take it that nothing is infinite or not a number.
fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}
