/** A layer of areas, such as beats: its outlines and names on the map, and totals by area. */
import { forecastPath, getJson, regionPath, save } from "./api.js";
import { byId, make, table } from "./dom.js";
import { selectors } from "./export.js";
import { count, fixed, number, t } from "./i18n.js";
import { openMap } from "./open-map.js";
import { linesOf } from "./overlays.js";
import { showError } from "./runs.js";
import { view, writeAddress } from "./view.js";

const FIRST = 10;
/** A name needs so many pixels a letter, and so many lines of height, within its area. */
const LETTER_PX = 7;
const WIDEST_PX = 130;
const LINE_PX = 15;
const NEIGHBOURHOODS = "neighbourhoods";

/** @typedef {{name: string, box: [number, number, number, number], middle: [number, number], size: number}} Area box: west, south, east, north of its largest part, in degrees */

/** @type {{region: string, layer: string, collection: any} | null} */ let outlines = null;
/** @type {any} */ let totals = null;
/** @type {any} the map that has the names */ let attached = null;
/** @type {() => Promise<any>} draws again what was drawn */ let again = async () => undefined;
let isLong = false;
let asked = 0;

/** Names within their areas, as many as have room. */
class NamesOverlay {
  /** @type {Area[]} */ #areas = [];
  /** @type {(place: [number, number]) => {x: number, y: number}} */ #project = () => ({ x: 0, y: 0 });
  /** The table beside the map has the same for screen readers. */
  #names = make("div", { class: "area-names", "aria-hidden": "true" });

  /** @param {HTMLElement} holder the map's @param {(place: [number, number]) => {x: number, y: number}} project */
  open(holder, project) {
    this.#project = project;
    holder.append(this.#names);
  }

  /** @param {Area[]} areas */
  show(areas) {
    this.#areas = areas;
    this.#names.replaceChildren(...areas.map(({ name }) => make("span", {}, name)));
    this.draw();
  }

  /** Draw where the map is now; the larger areas first, and none over another. */
  draw() {
    /** @type {{x: number, y: number, wide: number, high: number}[]} */ const taken = [];
    this.#areas.forEach(({ name, box, middle }, i) => {
      const [from, to, at] = [this.#project([box[0], box[1]]), this.#project([box[2], box[3]]), this.#project(middle)];
      const full = LETTER_PX * name.length;
      const wide = Math.min(full, WIDEST_PX);
      const high = LINE_PX * Math.ceil(full / WIDEST_PX);
      const isFree = taken.every((one) => Math.abs(one.x - at.x) > (one.wide + wide) / 2 || Math.abs(one.y - at.y) > (one.high + high) / 2);
      const hasRoom = isFree && Math.abs(to.x - from.x) > wide && Math.abs(to.y - from.y) > high;
      if (hasRoom) taken.push({ ...at, wide, high });
      const span = /** @type {HTMLElement} */ (this.#names.children[i]);
      span.hidden = !hasRoom;
      span.style.transform = `translate(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px) translate(-50%, -50%)`;
    });
  }
}
const names = new NamesOverlay();

/** The largest part of each area, and a place in its middle. @param {any} collection @returns {Area[]} */
export function areasOf(collection) {
  return collection.features.filter((/** @type {any} */ one) => one.geometry).map((/** @type {any} */ { properties, geometry }) => {
    const polygons = geometry.type === "MultiPolygon" ? geometry.coordinates : [geometry.coordinates];
    const parts = linesOf({ coordinates: polygons.map((/** @type {any} */ rings) => rings[0]) }).map(measured);
    const [largest] = parts.sort((a, b) => b.size - a.size);
    return { name: String(properties.name), ...largest };
  }).sort((/** @type {any} */ a, /** @type {any} */ b) => b.size - a.size);
}

/** Size, box and centroid of a ring. @param {number[][]} ring */
function measured(ring) {
  const [xs, ys] = [ring.map(([x]) => x), ring.map(([, y]) => y)];
  const box = /** @type {[number, number, number, number]} */ ([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
  // From a corner: degrees far from zero would lose digits.
  let [twice, x, y] = [0, 0, 0];
  ring.slice(1).forEach(([bx, by], i) => {
    const [ax, ay] = ring[i];
    const cross = (ax - box[0]) * (by - box[1]) - (bx - box[0]) * (ay - box[1]);
    twice += cross;
    x += cross * (ax + bx - 2 * box[0]);
    y += cross * (ay + by - 2 * box[1]);
  });
  const middle = /** @type {[number, number]} */ (twice ? [box[0] + x / (3 * twice), box[1] + y / (3 * twice)] : [box[0], box[1]]);
  return { size: Math.abs(twice), box, middle };
}

/** List a region's layers; a choice that it does not have is dropped. @param {any} region */
export function fillLayers(region) {
  const known = region.layers.map((/** @type {any} */ one) => one.name);
  if (!known.includes(view.layer)) view.layer = "";
  const named = (/** @type {string} */ name) => new Option(name === NEIGHBOURHOODS ? t("neighbourhoodsLayer") : name, name);
  byId("layer").replaceChildren(new Option(t("areasNone"), ""), ...known.map(named));
  byId("layer").value = view.layer;
  byId("layer").onchange = () => {
    view.layer = byId("layer").value;
    writeAddress();
    again().catch(showError);
  };
  byId("areas").hidden = known.length === 0;
  if (view.layer) byId("areas").open = true;
}

/** Draw the chosen layer for the hours that are shown. @param {any} region @param {any} shown @param {() => Promise<any>} whenMap */
export async function showLayer(region, shown, whenMap) {
  const mine = ++asked;
  again = () => showLayer(region, shown, whenMap);
  const { layer } = view;
  const status = byId("areas-text");
  if (!layer) {
    byId("areas-table").replaceChildren();
    status.textContent = "";
    if (outlines) forget(region);
    return;
  }
  status.textContent = t("areasWait");
  const path = forecastPath(region.id, "areas", { ...selectors(shown.asked), layer, geometry: false });
  const [found, collection] = await Promise.all([getJson(path, { cache: "no-cache" }), outlinesOf(region, layer), whenMap()]);
  if (mine !== asked) return;
  status.textContent = "";
  outlines = { region: region.id, layer, collection };
  totals = { ...found, asked: shown.asked };
  drawOutlines(collection);
  drawTotals();
}

/** @param {any} region @param {string} layer */
async function outlinesOf(region, layer) {
  if (outlines?.region === region.id && outlines?.layer === layer) return outlines?.collection;
  return layer === NEIGHBOURHOODS ? region.neighbourhoods : getJson(regionPath(region.id, `layers/${encodeURIComponent(layer)}`));
}

/** @param {any} region */
function forget(region) {
  [outlines, totals] = [null, null];
  openMap()?.parts(region.neighbourhoods);
  names.show([]);
}

/** @param {any} collection */
function drawOutlines(collection) {
  const map = openMap();
  if (attached !== map) map.attach(names);
  attached = map;
  map.parts(collection);
  names.show(areasOf(collection));
}

/** @param {number} low @param {number} high */
const rangeText = (low, high) => (low === high ? count(low) : `${count(low)}–${count(high)}`);

function drawTotals() {
  const rows = totals.features.map((/** @type {any} */ one) => one.properties).sort((/** @type {any} */ a, /** @type {any} */ b) => b.expected_count - a.expected_count);
  const caption = t("areasCaption", { when: byId("when").textContent });
  const shown = (isLong ? rows : rows.slice(0, FIRST)).map((/** @type {any} */ one) => [
    one.name, number(one.expected_count), rangeText(one.expected_count_lo, one.expected_count_hi), `${fixed(100 * one.probability)} %`,
  ]);
  const { asked: of, layer, region } = totals;
  const more = make("button", { type: "button", id: "areas-more", onclick: () => { isLong = !isLong; drawTotals(); byId("areas-more").focus(); } },
    isLong ? t("areasFewer", { n: FIRST }) : t("areasMore", { n: rows.length }));
  const file = `${region}-${layer}-${of.at.slice(0, 13)}-${of.hours}h.csv`;
  const csv = make("button", { type: "button", onclick: () => save(forecastPath(region, "areas", { ...selectors(of), layer, f: "csv" }), file) }, t("areasSave"));
  byId("areas-table").replaceChildren(
    table(caption, [t("area"), t("areaExpected"), t("areaRange"), t("areaShare")], shown),
    make("div", { class: "buttons" }, ...(rows.length > FIRST ? [more] : []), csv),
  );
}
