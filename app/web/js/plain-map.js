/** The map without WebGL: the same cells and lines on a plain canvas, the whole city at once. */
import { painted } from "./colours.js";
import { byId, make } from "./dom.js";
import { t } from "./i18n.js";
import { Lattice, beside } from "./lattice.js";
import { COLOURS, copyOf, middles } from "./overlays.js";

const MARGIN_PX = 18;
const DEGREE = Math.PI / 180;

export class PlainMap {
  /** @type {Lattice | undefined} */ lattice;
  /** @type {any} */ #canvas;
  /** @type {any} */ #region = null;
  /** @type {Uint8Array | undefined} */ #rgba;
  /** @type {any} */ #hotspots = null;
  /** @type {number | null} */ #chosen = null;
  /** @type {any} */ #outcomes = null;
  /** @type {any[]} */ #own = [];
  /** @type {((place: number[] | null) => void) | null} */ #sketch = null;
  #ink = COLOURS.hotspot;
  /** @type {{draw: () => void}[]} */ #overlays = [];
  /** @type {(lon: number, lat: number) => number[]} */ #project = () => [0, 0];
  /** @type {(x: number, y: number) => number[]} */ #unproject = () => [0, 0];

  /** @param {(row: number) => void} onPoint @param {(row: number) => void} onChoose */
  constructor(onPoint, onChoose) {
    this.handlers = { onPoint, onChoose };
  }

  async open() {
    this.#canvas = make("canvas", { id: "map-image", role: "img", "aria-label": t("imageAlt"), "data-i18n-label": "imageAlt" });
    byId("map").replaceChildren(this.#canvas, make("p", { class: "note", id: "no-webgl", "data-i18n": "noWebgl" }, t("noWebgl")));
    const row = (/** @type {any} */ event) => {
      const [lon, lat] = this.#unproject(event.offsetX, event.offsetY);
      return this.lattice?.rowAt(lon, lat) ?? -1;
    };
    this.#canvas.addEventListener("mousemove", (/** @type {any} */ event) => this.handlers.onPoint(row(event)));
    this.#canvas.addEventListener("mouseout", () => this.handlers.onPoint(-1));
    this.#canvas.addEventListener("click", (/** @type {any} */ event) => (this.#sketch ? this.#sketch(this.#unproject(event.offsetX, event.offsetY)) : this.handlers.onChoose(row(event))));
    this.#canvas.addEventListener("dblclick", () => this.#sketch?.(null));
    new ResizeObserver(() => this.#draw()).observe(byId("map"));
  }

  /** @param {any} region a reply of the service */
  showRegion(region) {
    this.#region = region;
    this.lattice = undefined;
    this.#rgba = undefined;
    [this.#hotspots, this.#chosen, this.#outcomes, this.#sketch, this.#own] = [null, null, null, null, []];
    this.#draw();
  }

  /** @param {any} shown a density reply @param {import("./measures.js").Scale} scale */
  paint(shown, scale) {
    if (!this.lattice?.fits(shown)) this.lattice = new Lattice(shown.grid, shown.cells);
    this.#rgba = painted(scale);
    this.#draw();
  }

  /** @param {number[]} ids @param {string} colour */
  outline(ids, colour) {
    this.#ink = colour;
    this.#hotspots = this.lattice?.outline(ids);
    this.#draw();
  }

  /** @param {number | null} id */
  choose(id) {
    this.#chosen = id !== null && this.lattice?.rowOfId.has(id) ? id : null;
    this.#draw();
  }

  /** The whole city is in view. */
  frame() {}

  /** Outlines of areas in place of the neighbourhoods. @param {any | null} collection */
  parts(collection) {
    this.#region = { ...this.#region, neighbourhoods: collection };
    this.#draw();
  }

  /** Something drawn above the map, whenever it is drawn. @param {import("./map.js").Overlay} overlay */
  attach(overlay) {
    this.#overlays.push(overlay);
    overlay.open(byId("map"), ([lon, lat]) => {
      const [x, y] = this.#project(lon, lat);
      return { x, y };
    });
  }

  /** Not known here. */
  isBeneath() {
    return false;
  }

  /** Without cells there is no picture. */
  points() {}

  /** The whole city is in view. */
  reveal() {}

  /** @param {any | null} collection cells with hits and misses */
  outcomes(collection) {
    this.#outcomes = collection;
    this.#draw();
  }

  /** @param {any[]} features places of one's own */
  ownPlaces(features) {
    this.#own = features;
    this.#draw();
  }

  /** @param {((place: number[] | null) => void) | null} taken corners of a place; null ends it */
  sketch(taken) {
    this.#sketch = taken;
  }

  /** The map as a picture, without what happened. @returns {HTMLCanvasElement} */
  picture() {
    const dots = this.#outcomes;
    this.outcomes(null);
    const copy = copyOf(this.#canvas);
    this.outcomes(dots);
    return copy;
  }

  /** Fit the city to the canvas: an even scale on both axes at its middle latitude. */
  #fit() {
    const { clientWidth: width, clientHeight: height } = byId("map");
    const scale = devicePixelRatio || 1;
    Object.assign(this.#canvas, { width: width * scale, height: height * scale });
    const { nx, ny } = /** @type {Lattice} */ (this.lattice);
    const corners = [[0, 0], [nx, 0], [nx, ny], [0, ny]].map(([x, y]) => /** @type {Lattice} */ (this.lattice).degrees(x, y));
    const [west, east] = [Math.min(...corners.map((c) => c[0])), Math.max(...corners.map((c) => c[0]))];
    const [south, north] = [Math.min(...corners.map((c) => c[1])), Math.max(...corners.map((c) => c[1]))];
    const squeeze = Math.cos(((south + north) / 2) * DEGREE);
    const zoom = Math.min((width - 2 * MARGIN_PX) / ((east - west) * squeeze), (height - 2 * MARGIN_PX) / (north - south));
    const [left, top] = [(width - (east - west) * squeeze * zoom) / 2, (height - (north - south) * zoom) / 2];
    this.#project = (lon, lat) => [left + (beside(lon, (west + east) / 2) - west) * squeeze * zoom, top + (north - lat) * zoom];
    this.#unproject = (x, y) => [west + (x - left) / (squeeze * zoom), north - (y - top) / zoom];
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = COLOURS.ground;
    pen.fillRect(0, 0, width, height);
    return pen;
  }

  #draw() {
    if (!this.lattice || !this.#rgba) return this.#canvas?.getContext("2d").clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const pen = this.#fit();
    this.lattice.ids.forEach((id, cell) => {
      const [r, g, b] = /** @type {Uint8Array} */ (this.#rgba).subarray(4 * cell);
      // There are no streets beneath to be seen.
      pen.fillStyle = `rgb(${r},${g},${b})`;
      this.#path(pen, /** @type {Lattice} */ (this.lattice).ring(id));
      pen.fill();
    });
    for (const feature of this.#region?.neighbourhoods?.features ?? []) this.#stroke(pen, feature.geometry, COLOURS.part, 0.6);
    if (this.#region?.boundary) this.#stroke(pen, this.#region.boundary, COLOURS.ink, 1.4);
    if (this.#hotspots) this.#stroke(pen, this.#hotspots, this.#ink, 1);
    for (const { geometry, properties } of this.#outcomes ? middles(this.#outcomes).features : []) this.#dot(pen, geometry.coordinates, properties);
    for (const { geometry } of this.#own) this.#stroke(pen, geometry, COLOURS.own, 2.5);
    if (this.#chosen !== null) this.#stroke(pen, { coordinates: this.lattice.ring(this.#chosen) }, COLOURS.chosen, 3);
    for (const overlay of this.#overlays) overlay.draw();
    return undefined;
  }

  /** @param {any} pen @param {number[][]} line degrees */
  #path(pen, line) {
    pen.beginPath();
    line.forEach(([lon, lat], i) => {
      const [x, y] = this.#project(lon, lat);
      if (i) pen.lineTo(x, y);
      else pen.moveTo(x, y);
    });
  }

  /** @param {any} pen @param {any} geometry of lines or polygons @param {string} colour @param {number} width */
  #stroke(pen, geometry, colour, width) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    const walk = (/** @type {any} */ part) => {
      if (typeof part[0]?.[0] !== "number") return part.forEach(walk);
      this.#path(pen, part);
      return pen.stroke();
    };
    walk(geometry.coordinates);
  }

  /** @param {any} pen @param {number[]} place @param {any} counts hits and misses */
  #dot(pen, [lon, lat], { hits, misses }) {
    const [x, y] = this.#project(lon, lat);
    Object.assign(pen, { fillStyle: hits >= misses ? COLOURS.hit : COLOURS.miss, strokeStyle: "#fff", lineWidth: 1.2 });
    pen.beginPath();
    pen.arc(x, y, Math.min(9, 3 + 0.6 * (hits + misses)), 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}
