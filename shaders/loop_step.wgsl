// Provides: Step and View, what a step of the stochastic loop is told; camera_point, clip_point, vertex_reach, groups.
#include signs

const GROUP_VERTICES = 0;
const GROUP_BASE_COLOR = 1;
const GROUP_ROUGHNESS_METALLIC = 2;
const GROUP_NORMAL_MAP = 3;
const GROUP_ENVIRONMENT = 4;
const GROUP_CAMERA_POSE = 5;
const GROUP_DISPLACEMENT = 6;

// Which group of parameters this step perturbs.
#constant GROUP = 0

struct Step {
    key: u32, // of this step's signs
    vertices: u32, // how many
    stride: u32, // vertices rounded up: entries of each section of `moved`
    triangles: u32,
    eps: f32, // pixels for vertices and poses, the parameter's own unit for the others
    growth: f32, // how many times the largest difference of the last step of the same group and view is credited
    limit: f32, // greatest difference of a pixel's loss that is ever credited
    rate: f32, // largest move, in the parameter's unit
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1 / (1 - beta1^t)
    correction2: f32, // 1 / (1 - beta2^t)
    texture_size: vec2u, // (width, height) of level 0
    levels: u32, // of its pyramid
    texels: u32, // in the pyramid
    recalled: f32, // share of the last step's estimate in a recursive one; 0 where there is none
}

struct View {
    camera_from_world: array<vec4f, 3>, // rows
    projection: vec4f, // 2 fx / W, 2 cx / W - 1, 2 fy / H, 2 cy / H - 1
    position: vec4f, // of the camera in the world; w: its distance from the scene's centre
    depth: vec2f, // clip z = depth.x z + depth.y
    focal: f32, // pixels
    mask: f32, // weight of the mask's error
    size: vec2u, // (width, height) in pixels
}

@group(0) @binding(0) var<uniform> now: Step;
@group(0) @binding(1) var<uniform> view: View;

// A world point in camera axes.
fn camera_point(point: vec3f) -> vec3f {
    let p = vec4f(point, 1.0);
    return vec3f(
        dot(view.camera_from_world[0], p),
        dot(view.camera_from_world[1], p),
        dot(view.camera_from_world[2], p),
    );
}

// A point in camera axes in clip space.
fn clip_point(p: vec3f) -> vec4f {
    return vec4f(
        view.projection.x * p.x + view.projection.y * p.z,
        view.projection.z * p.y + view.projection.w * p.z,
        view.depth.x * p.z + view.depth.y,
        p.z,
    );
}

// How far a vertex is perturbed along each axis: `eps` pixels at its depth, in world units; 0 behind the camera.
fn vertex_reach(point: vec3f) -> f32 {
    let z = dot(view.camera_from_world[2], vec4f(point, 1.0));
    return max(z, 0.0) * (now.eps / view.focal);
}

// How far a texel of a displacement map is perturbed: `eps` pixels at the scene's centre, in world units.
fn displacement_reach() -> f32 {
    return now.eps * view.position.w / view.focal;
}

// (rotation, translation) by which the camera's pose is perturbed: radians and world units along camera axes.
fn pose_reach() -> vec2f {
    let angle = now.eps / view.focal;
    return vec2f(angle, angle * view.position.w);
}
