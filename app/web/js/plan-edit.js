/** A plan changed by hand: zones dropped, added by a click, redrawn cell by cell; the service prices what comes of it. */
import { SEQUENTIAL_RAMP } from "./colours.js";
import { make } from "./dom.js";
import { fixed, number, t } from "./i18n.js";
import { percent } from "./forecast.js";
import { nameOf } from "./places.js";
import { view } from "./view.js";

/** Cells around a zone that can be added to it, and the least and the most on a side of the little map. */
const [AROUND, LEAST_SIDE, MOST_SIDE] = [2, 7, 11];
/** How much rather a new zone takes a cell that shares another of its sides. */
const COMPACT = 0.2;
/** Best places that are offered for a zone, at least so many cells apart. */
const [OFFERED, OFFERED_APART] = [12, 4];
/** Of a share: less is no difference. */
const SAME = 0.005;

/** @typedef {{cells: number[], box: number[]} | "add"} Doing */
/** @typedef {{nx: number, rowOf: Map<number, number>, cells: any, top: number}} Ground the cells of the forecast beneath */

/** @type {Ground | null} */ let ground = null;
/** What is being done: a zone is added by a click, or this one redrawn. @type {Doing | null} */ let doing = null;
/** @type {(zones: number[][]) => any} */ let changed = () => {};
/** @type {() => void} */ let redraw = () => {};

/** @param {{change: (zones: number[][]) => any, redraw: () => void}} act */
export function openEdit(act) {
  [changed, redraw] = [act.change, act.redraw];
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && doing && view.tab === "plan") stopEdit(true);
  });
}

/** @param {any} density a reply on the cells of the plan */
export function setGround({ grid, cells }) {
  ground = { nx: grid.nx, cells, rowOf: new Map(cells.id.map((/** @type {number} */ id, /** @type {number} */ row) => [id, row])), top: Math.max(...cells.probability) };
}

/** @param {boolean} [again] draw anew */
export function stopEdit(again = false) {
  doing = null;
  delete document.body.dataset.edit;
  if (again) redraw();
}

/** @param {Doing} what */
function begin(what) {
  doing = what;
  document.body.dataset.edit = "true";
  redraw();
}

/** @param {string} text as in the address @returns {number[][]} */
export const zonesIn = (text) => (text ? text.split("_").map((zone) => zone.split(".").map(Number)) : []);

/** @param {number[][]} zones */
export const zonesText = (zones) => zones.map((zone) => zone.join(".")).join("_");

/** @param {any} plan @returns {number[][]} */
export const cellsOf = (plan) => plan.features.map((/** @type {any} */ { properties }) => properties.cells);

/** Cells across the sides of a cell. @param {number} id @param {number} nx */
const beside = (id, nx) => [...(id % nx ? [id - 1] : []), ...((id + 1) % nx ? [id + 1] : []), id - nx, id + nx];

/**
 * A compact zone around a cell, of the neighbours with the most expected.
 * @param {number} from @param {number} n cells @param {Set<number>} taken @param {Ground} on
 */
export function grown(from, n, taken, { nx, rowOf, cells }) {
  const zone = new Set([from]);
  while (zone.size < n) {
    let [best, most] = [-1, -1];
    for (const cell of new Set([...zone].flatMap((id) => beside(id, nx)))) {
      const row = rowOf.get(cell);
      if (row === undefined || zone.has(cell) || taken.has(cell)) continue;
      const shared = beside(cell, nx).filter((id) => zone.has(id)).length;
      const worth = cells.probability[row] * (1 + COMPACT * (shared - 1));
      if (worth > most) [best, most] = [cell, worth];
    }
    if (best < 0) break;
    zone.add(best);
  }
  return [...zone].sort((a, b) => a - b);
}

/** @param {any} plan @param {number} from */
function add(plan, from) {
  const taken = new Set(cellsOf(plan).flat());
  if (!ground?.rowOf.has(from) || taken.has(from)) return;
  const each = Math.max(1, Math.round((plan.asked.max_km2 / plan.asked.n) / (plan.cell_size_m / 1000) ** 2));
  stopEdit();
  changed([...cellsOf(plan), grown(from, each, taken, ground)]);
}

/** Put a cell into the zone that is redrawn, or take it out. @param {any} plan @param {number} id */
function toggle(plan, id) {
  if (!doing || doing === "add" || !ground?.rowOf.has(id)) return;
  const { cells: before } = doing;
  const others = cellsOf(plan).filter((zone) => zone[0] !== before[0]);
  if (others.some((zone) => zone.includes(id))) return;
  const zone = before.includes(id) ? before.filter((cell) => cell !== id) : [...before, id].sort((a, b) => a - b);
  if (zone.length === 0) return;
  doing.cells = zone;
  changed([...others, zone]);
}

/** A cell of the map was clicked. @param {any} plan @param {number} id */
export function clickedCell(plan, id) {
  if (plan && doing === "add") add(plan, id);
  else if (plan) toggle(plan, id);
}

/** Buttons of a zone. @param {any} plan @param {any} zone */
export function zoneTools(plan, zone) {
  const rank = { rank: zone.rank };
  const tool = (/** @type {string} */ sign, /** @type {string} */ key, /** @type {() => void} */ act, /** @type {Record<string, any>} */ more = {}) =>
    make("button", { type: "button", class: "tool", "aria-label": t(key, rank), title: t(key, rank), "data-key": `${key}-${zone.rank}`, onclick: act, ...more }, sign);
  const isOpen = isDoing(zone);
  return [
    tool("✎", "zoneRedraw", () => (isOpen ? stopEdit(true) : begin({ cells: zone.cells, box: boxOf(zone.cells) })), { "aria-expanded": String(isOpen) }),
    tool("✕", "zoneDrop", () => {
      stopEdit();
      changed(cellsOf(plan).filter((cells) => cells !== zone.cells));
    }, { disabled: plan.features.length === 1 }),
  ];
}

/** @param {any} zone */
const isDoing = (zone) => doing !== null && doing !== "add" && zone.cells.length === doing.cells.length && zone.cells[0] === doing.cells[0];

/** Columns and rows of the little map: the zone and what lies around. @param {number[]} cells @returns {number[]} west, east, south, north */
function boxOf(cells) {
  const nx = ground?.nx ?? 1;
  const side = (/** @type {number[]} */ values) => {
    const [low, high] = [Math.min(...values) - AROUND, Math.max(...values) + AROUND];
    const more = Math.max(0, LEAST_SIDE - (high - low + 1));
    return [low - Math.floor(more / 2), Math.min(high + Math.ceil(more / 2), low - Math.floor(more / 2) + MOST_SIDE - 1)];
  };
  return [...side(cells.map((id) => id % nx)), ...side(cells.map((id) => Math.floor(id / nx)))];
}

const STEPS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] });

/** Below a zone that is redrawn: its cells and those around, as buttons. @param {any} plan @param {any} zone */
export function zoneBelow(plan, zone) {
  if (!ground || !isDoing(zone)) return [];
  const { nx, rowOf, cells, top } = ground;
  const [west, east, south, north] = /** @type {any} */ (doing).box;
  const own = new Set(zone.cells);
  const rankOf = new Map(plan.features.flatMap((/** @type {any} */ { properties }) => properties.cells.map((/** @type {number} */ id) => [id, properties.rank])));
  const cellButton = (/** @type {number} */ ix, /** @type {number} */ iy) => {
    const id = iy * nx + ix;
    const row = ix >= 0 && ix < nx ? rowOf.get(id) : undefined;
    if (row === undefined) return make("span", { role: "gridcell" });
    const other = !own.has(id) && rankOf.get(id);
    const shade = SEQUENTIAL_RAMP[Math.round(Math.sqrt(cells.probability[row] / top) * (SEQUENTIAL_RAMP.length - 1))];
    const state = own.has(id) ? t("cellIn") : other ? t("cellOther", { rank: other }) : t("cellOut");
    return make("span", { role: "gridcell" }, make("button", {
      type: "button", "data-key": `cell-${id}`, "data-cell": id, tabindex: id === zone.cells[0] ? 0 : -1, class: own.has(id) ? "own" : "", disabled: Boolean(other),
      "aria-pressed": String(own.has(id)), "aria-label": t("cellLabel", { state, n: number(cells.expected_count[row], 2), name: nameOf(cells.longitude[row], cells.latitude[row]) }),
      style: `background: rgb(${shade.join(" ")})`, onclick: () => toggle(plan, id),
    }, other ? String(other) : ""));
  };
  const columns = Array.from({ length: east - west + 1 }, (_, i) => west + i);
  const rows = Array.from({ length: north - south + 1 }, (_, i) => north - i);
  const grid = make("div", { role: "grid", class: "cells", "aria-label": t("zoneCells", { rank: zone.rank }), style: `grid-template-columns: repeat(${columns.length}, 1fr)` },
    ...rows.map((iy) => make("div", { role: "row" }, ...columns.map((ix) => cellButton(ix, iy)))));
  grid.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = STEPS[event.key];
    const at = [...grid.children].findIndex((row) => row.contains(document.activeElement));
    if (!step || at < 0) return;
    event.preventDefault();
    const across = [...grid.children[at].children].findIndex((cell) => cell.contains(document.activeElement));
    grid.children[at + step[0]]?.children[across + step[1]]?.querySelector("button:not(:disabled)")?.focus();
  });
  return [make("div", { class: "redraw" }, make("p", { class: "note" }, t("redrawHint")), grid, make("button", { type: "button", onclick: () => stopEdit(true) }, t("redrawDone")))];
}

/** Below the zones: add one. @param {any} plan @param {number} most zones */
export function addPart(plan, most) {
  if (plan.features.length >= most) return [];
  if (doing !== "add") return [make("button", { type: "button", class: "plain", "data-key": "add", onclick: () => begin("add") }, t("zoneAdd"))];
  const list = make("select", { id: "plan-add", "data-key": "add", "aria-label": t("addPlace") }, new Option(t("addPlace"), ""), ...offered(plan).map(({ id, text }) => new Option(text, String(id))));
  list.addEventListener("change", () => list.value && add(plan, Number(list.value)));
  return [make("div", { class: "redraw" }, make("p", { class: "note" }, t("addHint")), list, " ", make("button", { type: "button", onclick: () => stopEdit(true) }, t("addCancel")))];
}

/** The best places outside the zones, apart from one another. @param {any} plan */
function offered(plan) {
  if (!ground) return [];
  const { nx, cells } = ground;
  const near = (/** @type {number} */ a, /** @type {number} */ b) => Math.max(Math.abs((a % nx) - (b % nx)), Math.abs(Math.floor(a / nx) - Math.floor(b / nx))) < OFFERED_APART;
  const [found, held] = [/** @type {number[]} */ ([]), cellsOf(plan).flat()];
  const rows = Array.from(cells.id.keys()).sort((a, b) => cells.probability[b] - cells.probability[a]);
  for (const row of rows) {
    const id = cells.id[row];
    if (found.some((other) => near(cells.id[other], id)) || held.some((other) => near(other, id))) continue;
    if (found.push(row) === OFFERED) break;
  }
  return found.map((row, i) => {
    const [lon, lat] = [cells.longitude[row], cells.latitude[row]];
    return { id: cells.id[row], text: `${i + 1}. ${[nameOf(lon, lat), `${lat.toFixed(3)}, ${lon.toFixed(3)}`].filter(Boolean).join(", ")}` };
  });
}

/** What the changes cost, and the way back. @param {any} plan */
export function pricePart(plan) {
  if (!plan.price) return [];
  const { share_lost: lost, expected_count_best: best } = plan.price;
  const key = Math.abs(lost) < SAME ? "priceSame" : lost > 0 ? "priceLess" : "priceMore";
  return [make("div", { class: "fact", id: "plan-price", role: "status" }, make("h3", {}, t("priceTitle")),
    make("p", {}, t(key, { share: percent(Math.abs(lost)), n: fixed(plan.expected_count, 2), best: fixed(best, 2) })),
    make("div", { class: "meter", "aria-hidden": "true" }, make("i", { class: "part", style: `width: ${(100 * Math.min(1, Math.max(0, 1 - lost))).toFixed(1)}%` })),
    make("button", { type: "button", class: "plain", "data-key": "undo", onclick: () => { stopEdit(); changed([]); } }, t("priceUndo")))];
}
