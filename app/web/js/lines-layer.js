/**
 * Lines as a WebGL layer: drawn with the cells in one frame, where a GeoJSON source would go through a
 * worker and have the whole map drawn again for each of its replies.
 */
import { MercatorCoordinate } from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { blendOver, programOf, shifted, shownAt } from "./gl.js";
import { beside } from "./lattice.js";

/** One instance a line; its six corners differ by their number. */
const VERTEX = `#version 300 es
uniform mat4 u_matrix;
uniform vec2 u_size;
uniform float u_width;
in vec4 a_line;
out float v_aside;
const vec2 CORNERS[6] = vec2[6](vec2(-1, -1), vec2(1, -1), vec2(1, 1), vec2(-1, -1), vec2(1, 1), vec2(-1, 1));
void main() {
  vec2 corner = CORNERS[gl_VertexID];
  vec4 from = u_matrix * vec4(a_line.xy, 0.0, 1.0);
  vec4 to = u_matrix * vec4(a_line.zw, 0.0, 1.0);
  vec2 along = normalize((to.xy / to.w - from.xy / from.w) * u_size);
  vec2 reach = (corner.x * along * u_width + corner.y * vec2(-along.y, along.x) * (u_width + 1.0)) / u_size;
  vec4 end = corner.x < 0.0 ? from : to;
  v_aside = corner.y * (u_width + 1.0) * 0.5;
  gl_Position = vec4(end.xy / end.w + reach, 0.0, 1.0);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 u_colour;
uniform float u_width;
in float v_aside;
out vec4 colour;
void main() { float a = clamp(0.5 * u_width + 0.5 - abs(v_aside), 0.0, 1.0); colour = vec4(u_colour * a, a); }`;

export class LinesLayer {
  type = "custom";
  renderingMode = "2d";
  #lines = new Float32Array();
  #origin = [0, 0];
  #colour = [0, 0, 0];
  #dirty = false;
  /** @type {any} */ #map;
  /** @type {WebGLProgram | undefined} */ #program;
  /** @type {any} */ #buffers;

  /**
   * @param {string} id
   * @param {string} colour #rrggbb
   * @param {(zoom: number) => number} width CSS pixels
   */
  constructor(id, colour, width) {
    this.id = id;
    this.width = width;
    this.setColour(colour);
  }

  /** @param {string} colour #rrggbb */
  setColour(colour) {
    this.#colour = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
  }

  /** @param {number[][][]} lines each of two or more places in degrees */
  setLines(lines) {
    const isCut = (/** @type {number[][]} */ piece) => piece.every(([lon]) => Math.abs(lon) === 180);
    const pieces = lines.flatMap((line) => line.slice(1).map((to, i) => [line[i], to])).filter((piece) => !isCut(piece));
    const near = pieces[0]?.[0][0];
    const origin = pieces.length ? MercatorCoordinate.fromLngLat(pieces[0][0]) : { x: 0, y: 0 };
    this.#origin = [origin.x, origin.y];
    this.#lines = Float32Array.from(pieces.flatMap((piece) => piece.flatMap(([lon, lat]) => {
      const { x, y } = MercatorCoordinate.fromLngLat([beside(lon, near), lat]);
      return [x - origin.x, y - origin.y];
    })));
    this.#dirty = true;
    this.#map?.triggerRepaint();
  }

  /** @param {any} map @param {WebGL2RenderingContext} gl */
  onAdd(map, gl) {
    this.#map = map;
    this.#program = programOf(gl, VERTEX, FRAGMENT);
    this.#buffers = { lines: gl.createBuffer(), array: gl.createVertexArray() };
    this.#dirty = true;
  }

  /** @param {any} _map @param {WebGL2RenderingContext} gl */
  onRemove(_map, gl) {
    gl.deleteBuffer(this.#buffers.lines);
    gl.deleteVertexArray(this.#buffers.array);
  }

  /** @param {WebGL2RenderingContext} gl @param {any} options */
  render(gl, options) {
    const program = this.#program;
    if (this.#lines.length === 0 || !program) return;
    gl.bindVertexArray(this.#buffers.array);
    if (this.#dirty) this.#upload(gl, program);
    gl.useProgram(program);
    const at = (/** @type {string} */ name) => gl.getUniformLocation(program, name);
    gl.uniformMatrix4fv(at("u_matrix"), false, shifted(options.defaultProjectionData.mainMatrix, shownAt(this.#map, this.#origin)));
    gl.uniform2f(at("u_size"), gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.uniform1f(at("u_width"), this.width(this.#map.getZoom()) * this.#map.getPixelRatio());
    gl.uniform3fv(at("u_colour"), this.#colour);
    blendOver(gl);
    gl.drawArraysInstanced(gl.TRIANGLES, 0, 6, this.#lines.length / 4);
    gl.bindVertexArray(null);
  }

  /** @param {WebGL2RenderingContext} gl @param {WebGLProgram} program */
  #upload(gl, program) {
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers.lines);
    gl.bufferData(gl.ARRAY_BUFFER, this.#lines, gl.DYNAMIC_DRAW);
    const at = gl.getAttribLocation(program, "a_line");
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, 4, gl.FLOAT, false, 0, 0);
    gl.vertexAttribDivisor(at, 1);
    this.#dirty = false;
  }
}
