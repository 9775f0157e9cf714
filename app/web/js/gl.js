/** What the map's own WebGL layers share. */

/** @type {WeakMap<WebGL2RenderingContext, Map<string, WebGLProgram>>} as long as their map */ const programs = new WeakMap();

/** A program, compiled once a map. @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment */
export function programOf(gl, vertex, fragment) {
  const held = programs.get(gl) ?? new Map();
  programs.set(gl, held);
  const made = held.get(vertex) ?? linked(gl, vertex, fragment);
  held.set(vertex, made);
  return made;
}

/** @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment */
function linked(gl, vertex, fragment) {
  const program = /** @type {WebGLProgram} */ (gl.createProgram());
  for (const [kind, source] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "link");
  return program;
}

/**
 * matrix x translation, in double precision: near the origin float32 then resolves centimetres.
 * @param {ArrayLike<number>} matrix column-major @param {number[]} origin
 */
export function shifted(matrix, [x, y]) {
  const result = Float64Array.from(matrix);
  for (let row = 0; row < 4; row++) result[12 + row] += matrix[row] * x + matrix[4 + row] * y;
  return Float32Array.from(result);
}

/** A place in mercator units, in the copy of the world that the map shows. @param {any} map @param {number[]} place */
export function shownAt(map, [x, y]) {
  const middle = map.getCenter().lng / 360 + 0.5;
  return [x + Math.round(middle - x), y];
}

/** Colours are premultiplied, as the map's own are. @param {WebGL2RenderingContext} gl */
export function blendOver(gl) {
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
}
