// Provides: cross_silhouettes, which finds where silhouette edges pass between pixels, for antialiasing.
#include preview_scene

// The walk of engine/raster/numba_coverage.py: an edge is a silhouette where both its triangles project to one side of
// it, and is crossed with the lines of pixel centres. Of crossings between the same two pixels in
// the same direction the one that reaches furthest is kept.
struct Edge {
    ends: vec2u, // vertices
    opposite: vec2u, // third vertices of its triangles; NONE at a boundary
}

const NONE: u32 = 0xffffffffu;
const DEPTH_MARGIN: f32 = 1e-4; // relative; a surface must lie this much behind an edge to be what it uncovers

@group(0) @binding(5) var<storage, read> edges: array<Edge>;
@group(0) @binding(6) var<storage, read> planes: array<u32>;
// [H,W,axis,direction]: how far the crossing reaches toward the outside pixel, then the pair's share, 16 bits each.
@group(0) @binding(7) var<storage, read_write> crossings: array<atomic<u32>>;
@group(0) @binding(8) var<storage, read_write> touched: array<atomic<u32>>; // a bit per pixel: beside a crossing

fn seen(vertex: u32) -> bool {
    let position = clip[vertex];
    return position.w > 0.0 && abs(position.z) <= position.w;
}

fn on_screen(vertex: u32) -> vec2f {
    let position = clip[vertex];
    return (position.xy / position.w + 1.0) * 0.5 * vec2f(view.size);
}

fn touch(at: u32) {
    atomicOr(&touched[at / 32u], 1u << (at % 32u));
}

// Sign of the side of the line from a to b on which a vertex appears.
fn side_of(a: vec2f, b: vec2f, vertex: u32) -> f32 {
    let position = clip[vertex];
    let reach = (position.xy + position.w) * 0.5 * vec2f(view.size) - a * position.w;
    let along = b - a;
    return sign(along.x * reach.y - along.y * reach.x);
}

@compute @workgroup_size(64)
fn cross_silhouettes(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    if (i >= arrayLength(&edges)) {
        return;
    }
    let edge = edges[i];
    if (!seen(edge.ends.x) || !seen(edge.ends.y)) {
        return;
    }
    let a = on_screen(edge.ends.x);
    let b = on_screen(edge.ends.y);
    let side = side_of(a, b, edge.opposite.x);
    if (side == 0.0 || (edge.opposite.y != NONE && side_of(a, b, edge.opposite.y) != side)) {
        return;
    }
    let near = 1.0 / vec2f(clip[edge.ends.x].w, clip[edge.ends.y].w);
    let squared = dot(b - a, b - a);
    let count = view.size.x * view.size.y;
    for (var axis = 0u; axis < 2u; axis++) { // 0: along rows, between left and right pixels; 1: along columns
        let across = 1u - axis;
        let span = b[across] - a[across];
        let lines = f32(view.size[across]);
        let first = u32(ceil(clamp(min(a[across], b[across]) - 0.5, 0.0, lines)));
        let past = u32(ceil(clamp(max(a[across], b[across]) - 0.5, 0.0, lines)));
        let toward = select(span, -span, axis == 0u);
        let inside_second = toward * side > 0.0;
        let step = select(view.size.x, 1u, axis == 0u);
        for (var line = first; line < past; line++) {
            let t = (f32(line) + 0.5 - a[across]) / span;
            let place = a[axis] + t * (b[axis] - a[axis]) - 0.5;
            if (!(place >= 0.0 && place < f32(view.size[axis]) - 1.0)) {
                continue;
            }
            let cell = u32(place);
            let at = select(cell * view.size.x + line, line * view.size.x + cell, axis == 0u);
            let outside = bitcast<f32>(planes[count + select(at + step, at, inside_second)]);
            if (mix(near.x, near.y, t) * outside <= 1.0 + DEPTH_MARGIN) {
                continue;
            }
            let part = place - f32(cell);
            let reach = select(part, 1.0 - part, inside_second);
            let packed = (u32(reach * 65534.0 + 1.5) << 16u) | u32(span * span / squared * 65535.0 + 0.5);
            touch(at);
            touch(at + step);
            atomicMax(&crossings[2u * (2u * at + axis) + select(1u, 0u, inside_second)], packed);
        }
    }
}
