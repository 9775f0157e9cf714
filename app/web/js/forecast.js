/** The forecast in figures: total, legend, hotspots, the pointed-at cell, the table of top cells. */
import { gradient } from "./colours.js";
import { byId, make, table } from "./dom.js";
import { count, fixed, number, t } from "./i18n.js";
import { nameOf } from "./places.js";
import { dayText, inZone, spanText } from "./time.js";
import { view } from "./view.js";

const LISTED = 10;

/** @param {number} latitude @param {number} longitude */
const coordinates = (latitude, longitude) => `${latitude.toFixed(4)},\u00a0${longitude.toFixed(4)}`;

/** Rows from the most probable down, ties by id. @param {any} shown */
export function ranking(shown) {
  const { probability, id } = shown.cells;
  return Array.from(Uint32Array.from(id.keys()).sort((/** @type {number} */ a, /** @type {number} */ b) => probability[b] - probability[a] || id[a] - id[b]));
}

/** Ids of the top-k% cells. @param {any} shown @param {number[]} ranked */
export const flagged = (shown, ranked) =>
  ranked.slice(0, Math.max(1, Math.floor((view.top * ranked.length) / 100 + 1e-9))).map((row) => shown.cells.id[row]);

/** @param {any} shown */
export function drawHead(shown) {
  byId("when").textContent = spanText(view.at, view.hours);
  const { expected_total: n, expected_total_lo: lo, expected_total_hi: hi } = shown;
  const [before, after] = t("expectedTotal").split("{n}");
  byId("total").replaceChildren(before, make("strong", {}, fixed(n)), `${after} · ${t("interval90", { lo: count(lo), hi: count(hi) })}`);
}

/** @param {import("./measures.js").Scale} scale */
export function drawLegend(scale) {
  const short = (/** @type {number} */ v) => (v === 0 ? "0" : number(v, 2));
  const text = (/** @type {number} */ v) => (view.measure === "difference" ? `${short(v)} ×` : short(v));
  const root = ["difference", "width"].includes(view.measure) ? "" : `; ${t("scale")}`;
  byId("legend").replaceChildren(
    make("div", { class: "title" }, t(view.measure)),
    make("div", { class: "ramp", style: `background: ${gradient(scale.ramp)}` }),
    make("div", { class: "ticks" }, ...scale.ticks.map((tick) => make("span", {}, text(tick)))),
    make("div", { class: "unit" }, t(`${view.measure}Unit`) + root),
    make("div", { class: "unit" }, make("span", { class: "mark" }), t("top"), ` ${view.top} %`),
  );
}

/**
 * What was caught at k% in past weeks, linear between the validated percentages.
 * @param {any} scores of a model version @param {number} top
 */
export function caughtAt(scores, top) {
  if (!scores) return null;
  const known = [[0, 0], ...Object.entries(scores.hit_rate).map(([k, v]) => [Number(k), Number(v)])].sort((a, b) => a[0] - b[0]);
  const after = known.findIndex(([k]) => k >= top);
  if (after < 1) return null;
  const [[k0, v0], [k1, v1]] = [known[after - 1], known[after]];
  return { rate: v0 + ((v1 - v0) * (top - k0)) / (k1 - k0), exact: k1 === top };
}

/** @param {any} head a hotspots reply @param {any} scores of past weeks, or null @param {string} zone */
export function drawShares(head, scores, zone) {
  const percent = (/** @type {number} */ v) => fixed(100 * v, v < 0.1 ? 1 : 0);
  const caught = caughtAt(scores, view.top);
  const since = caught ? dayText(inZone(scores.since, zone)) : "";
  const figure = (/** @type {string} */ value, /** @type {string} */ name, /** @type {string} */ more) =>
    make("div", {}, make("strong", {}, value), make("span", {}, name), make("span", {}, more));
  byId("shares").replaceChildren(
    figure(`${percent(head.share_of_area)} %`, t("topArea"), `${number(head.area_km2)} km²`),
    figure(`${percent(head.share_of_incidents_expected)} %`, t("topExpected"),
      t("shareRange", { lo: count(100 * head.share_of_incidents_lo), hi: count(100 * head.share_of_incidents_hi) })),
    figure(caught ? `${caught.exact ? "" : "≈ "}${percent(caught.rate)} %` : "–", t("topCaught"),
      caught ? t(view.category ? "allCategories" : "beforeToday") : t("notScored")),
  );
  byId("shares-note").textContent = t("topCount", {
    n: count(head.n_cells), all: count(head.n_cells_total), count: number(head.expected_count, 2),
    lo: count(head.expected_count_lo), hi: count(head.expected_count_hi),
  }) + (caught ? ` ${t("pastWeeks", { n: count(scores.n), date: since })}` : "");
}

/** Figures of one cell as [name, value]. @param {any} shown @param {number} row @param {number} rank */
function cellRows(shown, row, rank) {
  const { probability, expected_count: n, expected_count_lo: lo, expected_count_hi: hi, longitude, latitude } = shown.cells;
  const area = nameOf(longitude[row], latitude[row]);
  return [
    ...(area ? [[t("neighbourhood"), area]] : []),
    [t("rank"), t("of", { a: count(rank), b: count(probability.length) })],
    [t("probability"), `${number(100 * probability[row])} %`],
    [t("expectedShort"), `${number(n[row], 2)} (${count(lo[row])}–${count(hi[row])})`],
    [t("place"), coordinates(latitude[row], longitude[row])],
  ];
}

/** @param {any} shown @param {number} row -1: none @param {number} rank from 1 */
export function drawCard(shown, row, rank) {
  const card = byId("card");
  card.hidden = row < 0;
  if (row < 0) return;
  const rows = cellRows(shown, row, rank).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  card.replaceChildren(make("h2", {}, `${t("cell")} ${shown.cells.id[row]}`), make("dl", {}, ...rows));
}

/**
 * @param {any} shown @param {number[]} ranked @param {(id: number) => void} onChoose
 */
export function topCells(shown, ranked, onChoose) {
  const { id, probability, expected_count: n, expected_count_lo: lo, expected_count_hi: hi, longitude, latitude } = shown.cells;
  const rows = ranked.slice(0, LISTED).map((row, i) => [
    make("button", { type: "button", "data-cell": id[row], "aria-pressed": String(view.cell === id[row]), onclick: () => onChoose(id[row]) }, String(i + 1)),
    nameOf(longitude[row], latitude[row]) || coordinates(latitude[row], longitude[row]),
    `${number(100 * probability[row], 2)}\u00a0%`,
    `${number(n[row], 2)}\u00a0(${count(lo[row])}–${count(hi[row])})`,
  ]);
  const made = table(t("topCells"), [t("rank"), t("place"), t("shareShort"), t("expectedShort")], rows);
  for (const line of made.querySelectorAll("tbody tr")) {
    line.classList.toggle("chosen", Number(line.querySelector("button").dataset.cell) === view.cell);
  }
  return made;
}
