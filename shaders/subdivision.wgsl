// Provides: surface_points, surface_normals: a cage's displaced limit surface on both sides of the perturbation.
#include perturb_vertices

// What stands in for `perturb` where the loop's vertices are a cage's: points first, then normals from the triangles
// around each, since displacement turns them. `positions` holds the cage, `rings` and `moved` belong to the surface.
struct Stencil {
    control: u32,
    point: f32, // weights of the limit position and of two tangents, whose cross product points outward
    first: f32,
    second: f32,
}

struct Taps {
    texels: vec4u,
    weights: vec4f,
}

@group(0) @binding(5) var<storage, read> stencil_starts: array<u32>; // one more than the surface has vertices
@group(0) @binding(6) var<storage, read> stencils: array<Stencil>;
@group(0) @binding(7) var<storage, read> taps: array<Taps>; // one per vertex of the surface
@group(0) @binding(9) var<storage, read> displacement: array<vec4f>; // x: along the limit normal, world units

const TWO_SIDED = GROUP == GROUP_VERTICES || GROUP == GROUP_DISPLACEMENT;

fn height_of(vertex: u32, side: f32) -> f32 {
    let tap = taps[vertex];
    var height = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let texel = tap.texels[k];
        var value = displacement[texel].x;
        if (GROUP == GROUP_DISPLACEMENT) {
            value += side * displacement_reach() * sign_at(now.key, texel);
        }
        height += tap.weights[k] * value;
    }
    return height;
}

fn surface_point(vertex: u32, side: f32) -> vec3f {
    var point = vec3f(0.0);
    var first = vec3f(0.0);
    var second = vec3f(0.0);
    for (var slot = stencil_starts[vertex]; slot < stencil_starts[vertex + 1u]; slot++) {
        let stencil = stencils[slot];
        let at = positions[stencil.control].xyz;
        let place = at + side * offset(stencil.control, at);
        point += stencil.point * place;
        first += stencil.first * place;
        second += stencil.second * place;
    }
    return point + height_of(vertex, side) * unit(cross(first, second));
}

@compute @workgroup_size(64)
fn surface_points(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    if (vertex >= arrayLength(&taps)) {
        return;
    }
    let plus = surface_point(vertex, 1.0);
    moved[2u * now.stride + vertex] = vec4f(plus, 1.0);
    if (TWO_SIDED) {
        moved[3u * now.stride + vertex] = vec4f(surface_point(vertex, -1.0), 1.0);
    } else if (GROUP == GROUP_CAMERA_POSE) {
        moved[3u * now.stride + vertex] = vec4f(plus, 1.0);
    }
}

// The normal of one side, whose points begin at `first` of `moved`.
fn surface_normal(vertex: u32, count: u32, first: u32) -> vec3f {
    let own = moved[first + vertex].xyz;
    var normal = vec3f(0.0);
    for (var slot = rings[vertex]; slot < rings[vertex + 1u]; slot++) {
        let next = moved[first + rings[count + 1u + 2u * slot]].xyz;
        let last = moved[first + rings[count + 2u + 2u * slot]].xyz;
        normal += cross(next - own, last - own);
    }
    return unit(normal);
}

@compute @workgroup_size(64)
fn surface_normals(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let vertex = id.y * groups.x * 64u + id.x;
    let count = arrayLength(&taps);
    if (vertex >= count) {
        return;
    }
    let normal = surface_normal(vertex, count, 2u * now.stride);
    moved[vertex] = clip_point(seen(moved[2u * now.stride + vertex].xyz, 1.0));
    moved[4u * now.stride + vertex] = vec4f(normal, 0.0);
    if (TWO_SIDED || GROUP == GROUP_CAMERA_POSE) {
        moved[now.stride + vertex] = clip_point(seen(moved[3u * now.stride + vertex].xyz, -1.0));
        moved[5u * now.stride + vertex] = vec4f(surface_normal(vertex, count, 3u * now.stride), 0.0);
    }
}
