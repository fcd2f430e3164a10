// The page: reads what is embedded, draws when something has changed, and sorts in a worker meanwhile.
// Its address may fix the view: #pose=<12 numbers, rows of world from camera>&lens=fx,fy,cx,cy&size=width,height&plain
// `window.ready` is a promise of the first picture; it is drawn before the page has loaded.

const element = (id) => document.getElementById(id);

/* The bytes of base64 text, by parts: whole strings of this length would not fit. */
function decoded(text) {
  const start = text.search(/\S/), end = text.trimEnd().length, step = 1 << 20;
  const padding = text.endsWith("==", end) ? 2 : text.endsWith("=", end) ? 1 : 0;
  const bytes = new Uint8Array((end - start) / 4 * 3 - padding);
  for (let from = start, place = 0; from < end; from += step) {
    const part = atob(text.slice(from, Math.min(from + step, end)));
    for (let i = 0; i < part.length; i++) bytes[place++] = part.charCodeAt(i);
  }
  return new Uint32Array(bytes.buffer);
}

function numbers(text, count) {
  const values = (text || "").split(",").map(Number);
  return values.length === count && values.every(Number.isFinite) ? values : null;
}

function fail(error) {
  element("failure").textContent = error.message;
  element("failure").hidden = false;
  element("notes").hidden = true;
}

function begin() {
  const scene = JSON.parse(element("scene").textContent), canvas = element("canvas");
  const asked = new URLSearchParams(location.hash.slice(1));
  const fixed = numbers(asked.get("size"), 2);
  element("count").textContent = `${scene.count.toLocaleString("en")} splats${scene.title ? `, ${scene.title}` : ""}`;
  element("notes").hidden = asked.has("plain");
  const records = decoded(element("splats").textContent);
  element("splats").textContent = "";
  const means = new Float32Array(3 * scene.count), floats = new Float32Array(records.buffer);
  for (let i = 0; i < scene.count; i++) for (let k = 0; k < 3; k++) means[3 * i + k] = floats[4 * scene.texels * i + k];

  const drawing = new Drawing(canvas, scene, records);
  let camera = 0, lens = numbers(asked.get("lens"), 4), sorted = "", busy = false, queued = false, last = 0;
  const navigation = new Navigation(canvas, scene, () => schedule());

  const worker = new Worker(URL.createObjectURL(new Blob([element("sort").textContent], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => {
    busy = false;
    drawing.use(data.order);
    sorted = data.view.join();
    schedule();
  };

  /* The lens in pixels of the canvas: all that the camera saw is in view. */
  function fitted(width, height, ratio) {
    if (lens) return lens.map((value) => value * ratio);
    const { focal, centre, size } = scene.cameras[camera];
    const scale = Math.min(width / size[0], height / size[1]);
    return [focal[0] * scale, focal[1] * scale, width / 2 + (centre[0] - size[0] / 2) * scale, height / 2 + (centre[1] - size[1] / 2) * scale];
  }

  function picture() {
    const ratio = fixed ? 1 : Math.min(devicePixelRatio || 1, 2);
    if (fixed) [canvas.style.width, canvas.style.height] = fixed.map((value) => `${value}px`);
    const width = Math.max(Math.round((fixed ? fixed[0] : canvas.clientWidth) * ratio), 1);
    const height = Math.max(Math.round((fixed ? fixed[1] : canvas.clientHeight) * ratio), 1);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    drawing.draw(navigation.pose, fitted(width, height, ratio), width, height);
  }

  function sort(view) {
    if (busy || view.join() === sorted) return;
    busy = true;
    worker.postMessage({ view });
  }

  function frame(time) {
    queued = false;
    const flying = navigation.fly(Math.min((time - last) / 1000, 0.1));
    last = time;
    sort(viewOf(navigation.pose).slice(8));
    picture();
    if (flying) schedule();
  }

  function schedule() {
    if (queued || !navigation.pose) return;
    queued = true;
    requestAnimationFrame(frame);
  }

  function look(number) {
    camera = (number + scene.cameras.length) % scene.cameras.length;
    lens = null;
    navigation.stand(poseOf(scene.cameras[camera].pose));
  }

  const start = numbers(asked.get("pose"), 12);
  if (start) navigation.stand(poseOf(start));
  else navigation.stand(poseOf(scene.cameras[0].pose));
  const view = viewOf(navigation.pose).slice(8);
  drawing.use(farthestFirst(means, view, scene.near));
  sorted = view.join();
  picture();
  worker.postMessage({ means, near: scene.near }, [means.buffer]);

  addEventListener("resize", schedule);
  canvas.addEventListener("webglcontextlost", () => fail(new Error("The graphics card has lost this page's data. Load the page again.")));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === "BracketLeft") look(camera - 1);
    else if (event.code === "BracketRight") look(camera + 1);
    else if (event.code === "KeyR") look(camera);
    else if (event.code === "KeyH") element("notes").hidden = !element("notes").hidden;
    else if (event.code === "KeyP") history.replaceState(null, "", `#pose=${rowsOf(navigation.pose).map((value) => +value.toPrecision(7)).join()}`);
  });
}

window.ready = new Promise((resolve, reject) => {
  try {
    begin();
    resolve();
  } catch (error) {
    fail(error);
    reject(error);
  }
});
window.ready.catch(() => {});
