/**
 * All cells as one WebGL layer: geometry is uploaded once a grid, colours at each redraw (a few ms
 * for ten thousand cells, where a GeoJSON source would be cut into tiles anew).
 */
import { MercatorCoordinate } from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { blendOver, programOf, shifted } from "./gl.js";

/** Name of the performance mark of the frame that last drew new colours. */
const DRAWN = "hotslot-colours-drawn";

const VERTEX = `#version 300 es
uniform mat4 u_matrix;
in vec2 a_place;
in vec4 a_colour;
out vec4 v_colour;
void main() { gl_Position = u_matrix * vec4(a_place, 0.0, 1.0); v_colour = a_colour; }`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 v_colour;
out vec4 colour;
void main() { colour = vec4(v_colour.rgb * v_colour.a, v_colour.a); }`;
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]];

export class CellsLayer {
  id = "cells";
  type = "custom";
  renderingMode = "2d";
  #places = new Float32Array();
  #colours = new Uint8Array();
  #origin = [0, 0];
  #dirty = { places: false, colours: false };
  /** @type {any} */ #map;
  /** @type {any} */ #gl;
  /** @type {any} */ #program;
  /** @type {any} */ #buffers;

  /** @param {import("./lattice.js").Lattice} lattice */
  setLattice(lattice) {
    const middle = lattice.degrees(lattice.nx / 2, lattice.ny / 2);
    const origin = MercatorCoordinate.fromLngLat(middle);
    this.#origin = [origin.x, origin.y];
    const places = new Float32Array(lattice.ids.length * 12);
    lattice.ids.forEach((id, cell) => {
      const ix = id % lattice.nx;
      const iy = Math.floor(id / lattice.nx);
      CORNERS.forEach(([dx, dy], corner) => {
        const at = MercatorCoordinate.fromLngLat(lattice.degrees(ix + dx, iy + dy));
        places[cell * 12 + corner * 2] = at.x - origin.x;
        places[cell * 12 + corner * 2 + 1] = at.y - origin.y;
      });
    });
    this.#places = places;
    this.#colours = new Uint8Array(lattice.ids.length * 24);
    this.#dirty.places = true;
    this.#map?.triggerRepaint();
  }

  clear() {
    this.#places = new Float32Array();
    this.#map?.triggerRepaint();
  }

  /** @param {Uint8Array} rgba four bytes a cell */
  setColours(rgba) {
    const words = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.length / 4);
    const target = new Uint32Array(this.#colours.buffer);
    for (let cell = 0; cell < words.length; cell++) {
      for (let corner = 0; corner < 6; corner++) target[cell * 6 + corner] = words[cell];
    }
    this.#dirty.colours = true;
    this.#map?.triggerRepaint();
  }

  /** @param {any} map @param {WebGL2RenderingContext} gl */
  onAdd(map, gl) {
    this.#map = map;
    this.#gl = gl;
    this.#program = programOf(gl, VERTEX, FRAGMENT);
    this.#buffers = { places: gl.createBuffer(), colours: gl.createBuffer(), array: gl.createVertexArray() };
    this.#dirty = { places: this.#places.length > 0, colours: this.#places.length > 0 };
  }

  onRemove() {
    this.#gl.deleteProgram(this.#program);
    this.#gl.deleteBuffer(this.#buffers.places);
    this.#gl.deleteBuffer(this.#buffers.colours);
    this.#gl.deleteVertexArray(this.#buffers.array);
  }

  /** @param {WebGL2RenderingContext} gl @param {any} options */
  render(gl, options) {
    if (this.#places.length === 0) return;
    gl.bindVertexArray(this.#buffers.array);
    this.#upload(gl);
    gl.useProgram(this.#program);
    const matrix = shifted(options.defaultProjectionData.mainMatrix, this.#origin);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.#program, "u_matrix"), false, matrix);
    blendOver(gl);
    gl.drawArrays(gl.TRIANGLES, 0, this.#places.length / 2);
    gl.bindVertexArray(null);
  }

  /** @param {WebGL2RenderingContext} gl */
  #upload(gl) {
    if (this.#dirty.places) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers.places);
      gl.bufferData(gl.ARRAY_BUFFER, this.#places, gl.STATIC_DRAW);
      const at = gl.getAttribLocation(this.#program, "a_place");
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 0, 0);
    }
    if (this.#dirty.places || this.#dirty.colours) {
      performance.clearMarks(DRAWN);
      performance.mark(DRAWN);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers.colours);
      gl.bufferData(gl.ARRAY_BUFFER, this.#colours, gl.DYNAMIC_DRAW);
      const at = gl.getAttribLocation(this.#program, "a_colour");
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    }
    this.#dirty = { places: false, colours: false };
  }
}
