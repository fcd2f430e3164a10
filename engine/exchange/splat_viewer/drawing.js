// WebGL2: splats from textures, blended far to near in half floats, then shown over the background.

const WIDTH = 4096; // texels in a row of the texture of splats

class Drawing {
  /* Throws an Error with a sentence for people. records: Uint32Array [N*4*texels]. */
  constructor(canvas, scene, records) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This page needs WebGL 2, which this browser does not offer. Try another browser, or switch graphics acceleration on.");
    this.gl = gl;
    this.scene = scene;
    this.deep = gl.getExtension("EXT_color_buffer_float") || gl.getExtension("EXT_color_buffer_half_float");
    this.splats = this.program("splat-vertex", "splat-fragment");
    this.show = this.program("show-vertex", "show-fragment");
    this.records = this.texture();
    const rows = Math.ceil(records.length / 4 / WIDTH);
    if (rows > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error("There are more splats here than this graphics card can hold.");
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32UI, WIDTH, rows);
    const full = Math.floor(records.length / 4 / WIDTH), rest = records.length / 4 - full * WIDTH;
    if (full) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDTH, full, gl.RGBA_INTEGER, gl.UNSIGNED_INT, records, 0);
    if (rest) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, full, rest, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, records, 4 * full * WIDTH);
    this.backdrop = scene.backdrop ? this.mapped(scene.backdrop) : null;
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    this.order = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
    this.count = 0;
    this.target = null;
  }

  program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, name] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, document.getElementById(name).textContent.trim());
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader)).join(" ");
      throw new Error(`The graphics driver refuses a shader: ${gl.getProgramInfoLog(program)} ${logs}`);
    }
    const places = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const name = gl.getActiveUniform(program, i).name;
      places[name] = gl.getUniformLocation(program, name);
    }
    return { program, places };
  }

  texture() {
    const gl = this.gl, texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return texture;
  }

  /* The texture of a map of all directions. */
  mapped({ rows, columns, texels }) {
    const gl = this.gl, texture = this.texture(), bytes = Uint8Array.from(atob(texels), (letter) => letter.charCodeAt(0));
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, columns, rows, 0, gl.RGB, gl.UNSIGNED_BYTE, bytes);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    return texture;
  }

  /* The splats to draw, the farthest first. */
  use(order) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.bufferData(gl.ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
    this.count = order.length;
  }

  resize(width, height) {
    const gl = this.gl;
    if (this.target && this.target.width === width && this.target.height === height) return;
    if (this.target) {
      gl.deleteTexture(this.target.texture);
      gl.deleteFramebuffer(this.target.frame);
    }
    const texture = this.texture(), frame = gl.createFramebuffer();
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.deep ? gl.RGBA16F : gl.RGBA8, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    this.target = { texture, frame, width, height };
  }

  /* Draw a pose through a lens [fx, fy, cx, cy] in pixels of the canvas. */
  draw(pose, lens, width, height) {
    const gl = this.gl, scene = this.scene, { program, places } = this.splats;
    this.resize(width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(program);
    gl.bindVertexArray(this.array);
    gl.bindTexture(gl.TEXTURE_2D, this.records);
    gl.uniform1i(places.records, 0);
    gl.uniform1i(places.texels, scene.texels);
    gl.uniform1i(places.degree, scene.degree);
    gl.uniform1i(places.surface, scene.kind === "surface" ? 1 : 0);
    gl.uniform1i(places.antialiased, scene.antialiased ? 1 : 0);
    gl.uniform1f(places.range, scene.range);
    gl.uniform4fv(places["view[0]"], viewOf(pose));
    gl.uniform3fv(places.position, pose.position);
    gl.uniform4fv(places.lens, lens);
    gl.uniform2f(places.size, width, height);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, this.count);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.disable(gl.BLEND);
    gl.useProgram(this.show.program);
    gl.bindTexture(gl.TEXTURE_2D, this.target.texture);
    gl.uniform1i(this.show.places.image, 0);
    gl.uniform3fv(this.show.places.background, scene.background);
    gl.uniform1i(this.show.places.mapped, this.backdrop ? 1 : 0);
    if (this.backdrop) this.look(pose, lens, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /* Have the backdrop shown as a pose sees it. */
  look(pose, lens, height) {
    const gl = this.gl, { places } = this.show, { turn } = this.scene.backdrop;
    const columns = [pose.right, pose.down, pose.forward].flatMap((axis) => [0, 3, 6].map((row) => dot(turn.slice(row, row + 3), axis)));
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.backdrop);
    gl.activeTexture(gl.TEXTURE0);
    gl.uniform1i(places.backdrop, 1);
    gl.uniformMatrix3fv(places.turn, false, columns);
    gl.uniform4fv(places.lens, lens);
    gl.uniform1f(places.height, height);
  }
}
