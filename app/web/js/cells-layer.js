/**
 * All cells as one WebGL layer: a texture with one texel a cell, stretched over the grid. A redraw
 * uploads the texture and draws a coarse mesh, whatever the number of cells; a GeoJSON source would
 * be cut into tiles anew.
 */
import { MercatorCoordinate } from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { blendOver, programOf, shifted, shownAt } from "./gl.js";

/** Name of the performance mark of the frame that last drew new colours. */
const DRAWN = "hotslot-colours-drawn";
/** Pieces of the mesh along each side: the grid is so little bent that each may be flat. */
const PIECES = 24;
const VERTICES = PIECES * PIECES * 6;

const VERTEX = `#version 300 es
uniform mat4 u_matrix;
in vec2 a_place;
in vec2 a_share;
out vec2 v_share;
void main() { gl_Position = u_matrix * vec4(a_place, 0.0, 1.0); v_share = a_share; }`;
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D u_cells;
in vec2 v_share;
out vec4 colour;
void main() { vec4 cell = texture(u_cells, v_share); colour = vec4(cell.rgb, 1.0) * cell.a; }`;
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]];

export class CellsLayer {
  id = "cells";
  type = "custom";
  renderingMode = "2d";
  /** @type {import("./lattice.js").Lattice | undefined} */ #lattice;
  /** Four numbers a vertex: offset from the origin in mercator units, share of columns and of rows. */
  #mesh = new Float32Array(VERTICES * 4);
  #texels = new Uint32Array();
  #origin = [0, 0];
  #dirty = { mesh: false, texels: false };
  /** @type {any} */ #map;
  /** @type {any} */ #gl;
  /** @type {any} */ #program;
  /** @type {any} */ #held;

  /** @param {import("./lattice.js").Lattice} lattice */
  setLattice(lattice) {
    const { nx, ny } = lattice;
    const origin = MercatorCoordinate.fromLngLat(lattice.degrees(nx / 2, ny / 2));
    const corner = (/** @type {number} */ u, /** @type {number} */ v) => {
      const { x, y } = MercatorCoordinate.fromLngLat(lattice.degrees(u * nx, v * ny));
      return [x - origin.x, y - origin.y, u, v];
    };
    for (let vertex = 0; vertex < VERTICES; vertex++) {
      const piece = Math.floor(vertex / 6);
      const [dx, dy] = CORNERS[vertex % 6];
      this.#mesh.set(corner(((piece % PIECES) + dx) / PIECES, (Math.floor(piece / PIECES) + dy) / PIECES), vertex * 4);
    }
    this.#origin = [origin.x, origin.y];
    this.#lattice = lattice;
    this.#texels = new Uint32Array(nx * ny);
    this.#dirty.mesh = true;
    this.#map?.triggerRepaint();
  }

  clear() {
    this.#lattice = undefined;
    this.#map?.triggerRepaint();
  }

  /** @param {Uint8Array} rgba four bytes a cell */
  setColours(rgba) {
    const words = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.length / 4);
    const { ids } = /** @type {import("./lattice.js").Lattice} */ (this.#lattice);
    for (let row = 0; row < words.length; row++) this.#texels[ids[row]] = words[row];
    this.#dirty.texels = true;
    this.#map?.triggerRepaint();
  }

  /** @param {any} map @param {WebGL2RenderingContext} gl */
  onAdd(map, gl) {
    this.#map = map;
    this.#gl = gl;
    this.#program = programOf(gl, VERTEX, FRAGMENT);
    this.#held = { mesh: gl.createBuffer(), array: gl.createVertexArray(), texture: gl.createTexture() };
    this.#dirty = { mesh: true, texels: true };
  }

  onRemove() {
    this.#gl.deleteBuffer(this.#held.mesh);
    this.#gl.deleteVertexArray(this.#held.array);
    this.#gl.deleteTexture(this.#held.texture);
  }

  /** @param {WebGL2RenderingContext} gl @param {any} options */
  render(gl, options) {
    if (!this.#lattice) return;
    gl.bindVertexArray(this.#held.array);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.#held.texture);
    if (this.#dirty.mesh) this.#uploadMesh(gl);
    if (this.#dirty.texels) this.#uploadTexels(gl);
    gl.useProgram(this.#program);
    const matrix = shifted(options.defaultProjectionData.mainMatrix, shownAt(this.#map, this.#origin));
    gl.uniformMatrix4fv(gl.getUniformLocation(this.#program, "u_matrix"), false, matrix);
    gl.uniform1i(gl.getUniformLocation(this.#program, "u_cells"), 0);
    blendOver(gl);
    gl.drawArrays(gl.TRIANGLES, 0, VERTICES);
    gl.bindVertexArray(null);
  }

  /** @param {WebGL2RenderingContext} gl */
  #uploadMesh(gl) {
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#held.mesh);
    gl.bufferData(gl.ARRAY_BUFFER, this.#mesh, gl.STATIC_DRAW);
    ["a_place", "a_share"].forEach((name, i) => {
      const at = gl.getAttribLocation(this.#program, name);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 16, 8 * i);
    });
    this.#dirty.mesh = false;
  }

  /** @param {WebGL2RenderingContext} gl */
  #uploadTexels(gl) {
    performance.clearMarks(DRAWN);
    performance.mark(DRAWN);
    const { nx, ny } = /** @type {import("./lattice.js").Lattice} */ (this.#lattice);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, nx, ny, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(this.#texels.buffer));
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    this.#dirty.texels = false;
  }
}
