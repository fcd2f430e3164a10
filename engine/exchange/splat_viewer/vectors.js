// Vectors as arrays of three; a pose is {position, right, down, forward}: the camera's OpenCV axes in the world.

const add = (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const scaled = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const length = (a) => Math.hypot(...a);
const unit = (a) => scaled(a, 1 / (length(a) || 1));

/* `a` turned about the unit vector `axis` by an angle in radians (Rodrigues). */
function rotated(a, axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  return add(add(scaled(a, c), cross(axis, a), s), axis, dot(axis, a) * (1 - c));
}

/* A pose of twelve numbers: the rows of world from camera [3,4]. */
const poseOf = (m) => ({
  right: [m[0], m[4], m[8]], down: [m[1], m[5], m[9]], forward: [m[2], m[6], m[10]], position: [m[3], m[7], m[11]],
});

/* The twelve numbers of a pose. */
const rowsOf = (p) => [0, 1, 2].flatMap((i) => [p.right[i], p.down[i], p.forward[i], p.position[i]]);

/* The rows of camera from world [3,4]. */
const viewOf = (p) => [p.right, p.down, p.forward].flatMap((axis) => [...axis, -dot(axis, p.position)]);

/* A pose turned about a point by an angle in radians; its axes are made orthonormal again. */
function turned(pose, axis, angle, point) {
  const forward = unit(rotated(pose.forward, axis, angle));
  const right = rotated(pose.right, axis, angle);
  const down = unit(cross(forward, right));
  return { position: add(point, rotated(add(pose.position, point, -1), axis, angle)), right: cross(down, forward), down, forward };
}
