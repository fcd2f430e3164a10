// Mouse, touch and keys to poses: orbiting around a point ahead, panning, flying.

class Navigation {
  /* scene: up [3], extent, centre [3]. `changed()` asks for a new picture. */
  constructor(canvas, scene, changed) {
    this.canvas = canvas;
    this.scene = scene;
    this.changed = changed;
    this.held = new Set();
    this.pointers = new Map();
    this.looking = false;
    this.pose = null;
    this.distance = 1;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.focus();
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.nearer(Math.exp(event.deltaY * (event.deltaMode ? 0.05 : 0.001)));
    }, { passive: false });
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.code === "KeyF") this.looking = !this.looking;
      else this.held.add(event.code);
      this.changed();
    });
    addEventListener("keyup", (event) => this.held.delete(event.code));
    addEventListener("blur", () => this.held.clear());
  }

  /* Stand at a pose; the point to orbit lies ahead, as deep as the middle of the scene. */
  stand(pose) {
    this.pose = pose;
    const depth = dot(add(this.scene.centre, pose.position, -1), pose.forward);
    this.distance = depth > 0.02 * this.scene.extent ? depth : 0.5 * this.scene.extent;
    this.changed();
  }

  move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const now = [event.clientX, event.clientY], dx = now[0] - last[0], dy = now[1] - last[1];
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      this.nearer(Math.hypot(last[0] - other[0], last[1] - other[1]) / Math.max(Math.hypot(now[0] - other[0], now[1] - other[1]), 1));
      this.pan(dx / 2, dy / 2);
    } else if (event.buttons & 6 || event.shiftKey) this.pan(dx, dy);
    else this.turn(dx, dy);
    this.pointers.set(event.pointerId, now);
  }

  turn(dx, dy) {
    const { pose, scene } = this, step = (this.looking ? 0.6 : 1) * Math.PI / Math.max(this.canvas.clientHeight, 1);
    const sign = this.looking ? 1 : -1; // either way what is in front follows the pointer
    const point = this.looking ? pose.position : add(pose.position, pose.forward, this.distance);
    // where down is up, the picture stands on its head and turns the other way
    const upright = dot(pose.down, scene.up) > 0 ? -1 : 1;
    let next = turned(pose, scene.up, sign * upright * dx * step, point);
    const tilted = turned(next, next.right, sign * dy * step, point);
    if (Math.abs(dot(tilted.forward, scene.up)) < 0.998 || Math.abs(dot(tilted.forward, scene.up)) < Math.abs(dot(next.forward, scene.up))) next = tilted;
    this.pose = next;
    this.changed();
  }

  pan(dx, dy) {
    const step = this.distance / Math.max(this.canvas.clientHeight, 1);
    this.shift(add(scaled(this.pose.right, -dx * step), this.pose.down, -dy * step));
  }

  shift(by) {
    this.pose = { ...this.pose, position: add(this.pose.position, by) };
    this.changed();
  }

  /* Change the distance to the point ahead by a factor. */
  nearer(factor) {
    const distance = Math.max(this.distance * factor, 1e-4 * this.scene.extent);
    this.shift(scaled(this.pose.forward, this.distance - distance));
    this.distance = distance;
  }

  /* Fly for some seconds with the keys that are held; whether any is. */
  fly(seconds) {
    const held = (code) => (this.held.has(code) ? 1 : 0), { right, down, forward } = this.pose;
    const by = [held("KeyD") - held("KeyA"), held("KeyQ") - held("KeyE"), held("KeyW") - held("KeyS")];
    if (!by.some((value) => value)) return false;
    const speed = 0.4 * this.scene.extent * (this.held.has("ShiftLeft") || this.held.has("ShiftRight") ? 4 : 1) * seconds;
    this.shift(add(add(scaled(right, by[0] * speed), down, by[1] * speed), forward, by[2] * speed));
    return true;
  }
}
