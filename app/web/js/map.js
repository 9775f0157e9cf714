/** The map: cells, outlines, hotspots, the chosen cell, what happened; where there is WebGL. */
import * as maplibre from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { openCellKeys } from "./cell-keys.js";
import { CellsLayer } from "./cells-layer.js";
import { painted } from "./colours.js";
import { byId, make } from "./dom.js";
import { Lattice, beside } from "./lattice.js";
import { LinesLayer } from "./lines-layer.js";
import { DOTS, OWN, PARTS, PLAIN, POINTS, STYLE, nameControls } from "./map-style.js";
import { COLOURS, copyOf, linesOf, middles } from "./overlays.js";
import { addTiles } from "./tiles.js";

const EMPTY = { type: "FeatureCollection", features: [] };
const CHOSEN_PX = 3.5;
const BOUNDARY_PX = 1.4;
/** Room around places that are framed, for what stands beside them; and how near they are seen at most. */
const FRAME_PX = 64;
const FRAME_SHARE = 0.2;
const FRAME_ZOOM = 12.6;
/** A cell nearer to an edge is out of view. */
const EDGE_PX = 12;
/** Width that grows with the zoom, in CSS pixels. @param {number} from @param {number} to */
const growing = (from, to) => (/** @type {number} */ zoom) => from + (to - from) * Math.min(Math.max((zoom - 9) / 4, 0), 1);

/** @typedef {{open: (holder: HTMLElement, project: (place: [number, number]) => {x: number, y: number}) => void, draw: () => void}} Overlay */

export class ForecastMap {
  /** @type {Lattice | undefined} */ lattice;
  #layer = new CellsLayer();
  #streets = new LinesLayer("streets", COLOURS.street, growing(0, 1.4));
  #streetsDigest = "";
  #boundary = new LinesLayer("boundary", COLOURS.ink, () => BOUNDARY_PX);
  #hotspots = new LinesLayer("hotspots", COLOURS.hotspot, growing(0.9, 2.4));
  #chosen = new LinesLayer("chosen", COLOURS.chosen, () => CHOSEN_PX);
  /** @type {any} */ #map;
  /** @type {any} */ #home;
  /** @type {any} */ #framed;
  #isPlaced = false;
  /** @type {((place: number[] | null) => void) | null} */ #sketch = null;
  /** @type {number | null} */ #chosenId = null;

  /**
   * @param {(row: number) => void} onPoint a cell is pointed at or tapped; -1 for none
   * @param {(row: number) => void} onChoose
   * @param {(place: string) => void} onMove
   * @param {string} [holder] id of its element
   */
  constructor(onPoint, onChoose, onMove, holder = "map") {
    this.handlers = { onPoint, onChoose, onMove };
    this.holder = holder;
  }

  async open() {
    maplibre.setWorkerUrl(new URL("../vendor/maplibre-gl/maplibre-gl-worker.mjs", import.meta.url).href);
    const map = new maplibre.Map({ container: this.holder, style: STYLE, ...PLAIN });
    map.touchZoomRotate.disableRotation();
    const isMain = this.holder === "map";
    if (isMain) {
      map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
      map.addControl(this.#wholeCity(), "top-right");
      map.addControl(new maplibre.ScaleControl({ maxWidth: 120 }), "bottom-left");
    }
    await map.once("style.load");
    for (const layer of [this.#streets, this.#layer, this.#boundary, this.#hotspots, this.#chosen]) map.addLayer(layer);
    addTiles(map, isMain);
    const row = (/** @type {any} */ event) => this.lattice?.rowAt(event.lngLat.lng, event.lngLat.lat) ?? -1;
    map.on("mousemove", (/** @type {any} */ event) => this.handlers.onPoint(row(event)));
    map.on("mouseout", () => this.handlers.onPoint(-1));
    map.on("click", (/** @type {any} */ event) => (this.#sketch ? this.#sketch(event.lngLat.toArray()) : this.handlers.onChoose(row(event))));
    map.on("dblclick", () => this.#sketch?.(null));
    map.on("moveend", (/** @type {any} */ event) => {
      if (!event.originalEvent) return;
      this.#isPlaced = true;
      this.handlers.onMove(this.#place());
    });
    // Until somebody has moved it, the map shows the whole city, whatever room it gets.
    map.on("resize", () => !this.#isPlaced && this.fit());
    this.#map = map;
    openCellKeys(map.getContainer(), {
      lattice: () => this.lattice,
      chosen: () => this.#chosenId,
      middle: () => { const { lng, lat } = map.getCenter(); return this.lattice?.rowAt(lng, lat) ?? -1; },
      take: (taken) => {
        this.handlers.onChoose(taken);
        if (this.#chosenId !== null) this.reveal(this.#chosenId);
      },
    });
    nameControls(map);
  }

  /** Move with another map, and it with this one. @param {ForecastMap} other */
  tie(other) {
    let isMoving = false;
    const pairs = [[this.#map, other.#map], [other.#map, this.#map]];
    const follow = (/** @type {any} */ led, /** @type {any} */ leading) => {
      if (isMoving) return;
      isMoving = true;
      led.jumpTo({ center: leading.getCenter(), zoom: leading.getZoom() });
      isMoving = false;
    };
    for (const [leading, led] of pairs) leading.on("move", () => follow(led, leading));
    other.#isPlaced = true;
    follow(other.#map, this.#map);
  }

  #wholeCity() {
    const button = make("button", { type: "button", id: "whole-city" }, "⤢");
    button.addEventListener("click", () => {
      this.#isPlaced = false;
      this.frame([]);
      this.handlers.onMove("");
    });
    const holder = make("div", { class: "maplibregl-ctrl maplibregl-ctrl-group" }, button);
    return { onAdd: () => holder, onRemove: () => holder.remove() };
  }

  #place() {
    const { lng, lat } = this.#map.getCenter();
    return `${this.#map.getZoom().toFixed(2)}/${lat.toFixed(5)}/${lng.toFixed(5)}`;
  }

  /** @param {any} region a reply of the service @param {string} place zoom/latitude/longitude or "" */
  showRegion(region, place) {
    this.lattice = undefined;
    this.#boundary.setLines(linesOf(region.boundary));
    if (region.streets !== this.#streetsDigest) this.streets("", []);
    this.#show(PARTS, "boundary", region.neighbourhoods);
    this.outcomes(null);
    this.points(null);
    this.sketch(null);
    this.#show(OWN, "chosen", null);
    for (const layer of [this.#hotspots, this.#chosen]) layer.setLines([]);
    this.#layer.clear();
    this.#settle(region.boundary ? boundsOf(region.boundary) : undefined);
    this.#isPlaced = place !== "";
    if (place) {
      const [zoom, lat, lng] = place.split("/").map(Number);
      this.#map.jumpTo({ zoom, center: [lng, lat] });
    } else this.fit();
  }

  /** @param {any} home where the region lies; undefined: not known yet */
  #settle(home) {
    this.#home = home;
    this.#framed = undefined;
    this.#map.getContainer().classList.toggle("placeless", home === undefined);
    this.#map.setRenderWorldCopies(home !== undefined && (home.getEast() > 180 || home.getWest() < -180));
  }

  /** Outlines of areas in place of the neighbourhoods. @param {any | null} collection */
  parts(collection) {
    this.#show(PARTS, "boundary", collection);
  }

  fit() {
    const { clientWidth, clientHeight } = this.#map.getContainer();
    const padding = Math.min(FRAME_PX, FRAME_SHARE * clientWidth, FRAME_SHARE * clientHeight);
    if (this.#framed) this.#map.fitBounds(this.#framed, { padding, maxZoom: FRAME_ZOOM, animate: false });
    else if (this.#home) this.#map.fitBounds(this.#home, { padding: 24, animate: false });
  }

  /** Until somebody moves the map, show these places, or the whole city. @param {[number, number][]} places */
  frame(places) {
    this.#framed = places.length ? boundsOf({ coordinates: places }) : undefined;
    if (!this.#isPlaced) this.fit();
  }

  /** Something drawn above the map, anew whenever it moves. @param {Overlay} overlay */
  attach(overlay) {
    overlay.open(this.#map.getCanvasContainer(), (place) => this.#map.project(place));
    this.#map.on("move", () => overlay.draw());
  }

  /** @param {any} shown a density reply @param {import("./measures.js").Scale} scale */
  paint(shown, scale) {
    if (!this.lattice?.fits(shown)) {
      this.lattice = new Lattice(shown.grid, shown.cells);
      this.#layer.setLattice(this.lattice);
      this.points(null);
      if (!this.#home) {
        this.#settle(boundsOf({ coordinates: shown.cells.longitude.map((/** @type {number} */ x, /** @type {number} */ i) => [x, shown.cells.latitude[i]]) }));
        this.fit();
      }
    }
    this.#layer.setColours(painted(scale));
  }

  /** The region's own, beneath the cells. @param {string} digest @param {number[][][]} lines */
  streets(digest, lines) {
    if (digest === this.#streetsDigest) return;
    this.#streetsDigest = digest;
    this.#streets.setLines(lines);
  }

  /** @param {number[]} ids @param {string} colour */
  outline(ids, colour) {
    if (!this.lattice) return;
    this.#hotspots.setColour(colour);
    this.#hotspots.setLines(this.lattice.outline(ids).coordinates);
  }

  /** @param {number | null} id */
  choose(id) {
    this.#chosenId = id;
    if (!this.lattice) return;
    const known = id !== null && this.lattice.rowOfId.has(id);
    this.#chosen.setLines(known ? [this.lattice.ring(/** @type {number} */ (id))] : []);
  }

  /** Bring a cell into view, out from beneath the legend and the card. @param {number} id */
  reveal(id) {
    if (!this.lattice?.rowOfId.has(id)) return;
    const [a, , c] = this.lattice.ring(id);
    const middle = /** @type {[number, number]} */ ([(a[0] + c[0]) / 2, (a[1] + c[1]) / 2]);
    const { left, top, right, bottom } = byId("map").getBoundingClientRect();
    const [px, py] = this.#seenAt(middle);
    const isCovered = ["legend", "card"].some((name) => this.isBeneath(id, byId(name)));
    if (!isCovered && px > left + EDGE_PX && px < right - EDGE_PX && py > top + EDGE_PX && py < bottom - EDGE_PX) return;
    this.#isPlaced = true;
    this.#map.jumpTo({ center: middle });
    this.handlers.onMove(this.#place());
  }

  /** Where in the window a place is seen. @param {[number, number]} place */
  #seenAt(place) {
    const { x, y } = this.#map.project(place);
    const { left, top } = byId("map").getBoundingClientRect();
    return [left + x, top + y];
  }

  /** Whether a cell lies beneath an element. @param {number} id @param {Element} element */
  isBeneath(id, element) {
    if (!this.lattice?.rowOfId.has(id)) return false;
    const [a, , c] = this.lattice.ring(id);
    const [px, py] = this.#seenAt([(a[0] + c[0]) / 2, (a[1] + c[1]) / 2]);
    const box = element.getBoundingClientRect();
    return px > box.left - EDGE_PX && px < box.right + EDGE_PX && py > box.top - EDGE_PX && py < box.bottom + EDGE_PX;
  }

  /** @param {any | null} collection cells with hits and misses, as polygons */
  outcomes(collection) {
    this.#show(DOTS, "chosen", collection && middles(collection));
  }

  /** Incidents themselves; the map goes to them where the region has no boundary yet. @param {any | null} collection */
  points(collection) {
    this.#show(POINTS, "chosen", collection);
    if (!collection?.features.length || this.#home) return;
    this.#settle(boundsOf({ coordinates: collection.features.map((/** @type {any} */ one) => one.geometry.coordinates) }));
    this.fit();
  }

  /** Places of one's own, and the line of one that is being drawn. @param {any[]} features */
  ownPlaces(features) {
    this.#show(OWN, "chosen", { type: "FeatureCollection", features });
  }

  /** Take clicks as corners of a place; a double click, null, ends it. @param {((place: number[] | null) => void) | null} taken null: clicks choose cells again */
  sketch(taken) {
    this.#sketch = taken;
    this.#map.doubleClickZoom[taken ? "disable" : "enable"]();
    this.#map.getCanvas().style.cursor = taken ? "crosshair" : "";
  }

  /** A source has the map drawn again whenever it is set: there is none before it has something to show. @param {any} layer @param {string} before @param {any | null} data */
  #show(layer, before, data) {
    const source = this.#map.getSource(layer.source);
    if (source) source.setData(data ?? EMPTY);
    else if (data) this.#map.addSource(layer.source, { type: "geojson", data }).addLayer(layer, before);
  }

  /** The map as a picture, without what happened. @returns {HTMLCanvasElement} */
  picture() {
    const dots = Boolean(this.#map.getLayer(DOTS.id));
    if (dots) this.#map.setLayoutProperty(DOTS.id, "visibility", "none");
    this.#map.redraw();
    const copy = copyOf(this.#map.getCanvas());
    if (dots) this.#map.setLayoutProperty(DOTS.id, "visibility", "visible");
    return copy;
  }
}

/** Bounds with longitudes that go on beyond 180 degrees, near the first. @param {any} geometry */
function boundsOf(geometry) {
  const bounds = new maplibre.LngLatBounds();
  let near = NaN;
  const walk = (/** @type {any} */ part) => {
    if (typeof part[0] !== "number") return part.forEach(walk);
    if (Number.isNaN(near)) near = part[0];
    return bounds.extend([beside(part[0], near), part[1]]);
  };
  walk(geometry.coordinates);
  return bounds;
}
