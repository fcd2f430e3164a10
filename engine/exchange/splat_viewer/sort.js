// The order in which splats are drawn: runs in a worker, and on the page itself for the first picture.

/* Indices of the splats in front of `view` (row 3 of camera from world), the farthest first; equal depths, the last first.
   means: Float32Array [N*3]. Least significant digit first, 16 bits each: the bits of positive floats sort as they do. */
function farthestFirst(means, view, near) {
  const count = means.length / 3;
  const depth = new Float32Array(1), bits = new Uint32Array(depth.buffer);
  const keys = new Uint32Array(count), indices = new Uint32Array(count);
  const low = new Uint32Array(65537), high = new Uint32Array(65537);
  let seen = 0;
  for (let i = count - 1; i >= 0; i--) {
    depth[0] = view[0] * means[3 * i] + view[1] * means[3 * i + 1] + view[2] * means[3 * i + 2] + view[3];
    if (!(depth[0] > near)) continue;
    const key = ~bits[0] >>> 0;
    keys[seen] = key;
    indices[seen++] = i;
    low[(key & 65535) + 1]++;
    high[(key >>> 16) + 1]++;
  }
  for (let i = 0; i < 65536; i++) {
    low[i + 1] += low[i];
    high[i + 1] += high[i];
  }
  const otherKeys = new Uint32Array(seen), other = new Uint32Array(seen), order = new Uint32Array(seen);
  for (let i = 0; i < seen; i++) {
    const place = low[keys[i] & 65535]++;
    otherKeys[place] = keys[i];
    other[place] = indices[i];
  }
  for (let i = 0; i < seen; i++) order[high[otherKeys[i] >>> 16]++] = other[i];
  return order;
}

if (typeof document === "undefined") {
  let means = null, near = 0;
  self.onmessage = ({ data }) => {
    if (data.means) {
      means = data.means;
      near = data.near;
    } else {
      const order = farthestFirst(means, data.view, near);
      self.postMessage({ order, view: data.view }, [order.buffer]);
    }
  };
}
