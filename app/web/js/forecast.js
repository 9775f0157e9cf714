/** The forecast in figures: total, legend, hotspots, the pointed-at cell, the table of top cells. */
import { gradient } from "./colours.js";
import { byId, make, table } from "./dom.js";
import { aligned, count, fixed, number, t } from "./i18n.js";
import { COLOURS } from "./overlays.js";
import { factorsOff } from "./measures.js";
import { nameOf } from "./places.js";
import { crossingOf } from "./streets.js";
import { caughtAt, modelName, rateInterval, rivalsOf } from "./scores.js";
import { messageText } from "./service-messages.js";
import { dayText, inZone, plusHours, spanText, zoneText } from "./time.js";
import { view } from "./view.js";
import { addWhy } from "./why.js";

const LISTED = 10;
/** Rarer than once in so many times is not known that exactly. */
const RAREST = 10_000;

/** @param {number} latitude @param {number} longitude */
const coordinates = (latitude, longitude) => `${latitude.toFixed(4)},\u00a0${longitude.toFixed(4)}`;

/** Rows from the most probable down, ties by id; and each row's rank, from 1. @param {any} shown @returns {[number[], Uint32Array]} */
export function ranking(shown) {
  const { probability, id } = shown.cells;
  const ranked = Array.from(Uint32Array.from(id.keys()).sort((/** @type {number} */ a, /** @type {number} */ b) => probability[b] - probability[a] || id[a] - id[b]));
  const rankOf = new Uint32Array(ranked.length);
  ranked.forEach((row, i) => { rankOf[row] = i + 1; });
  return [ranked, rankOf];
}

/** Ids of the top-k% cells. @param {any} shown @param {number[]} ranked */
export const flagged = (shown, ranked) =>
  ranked.slice(0, Math.max(1, Math.floor((view.top * ranked.length) / 100 + 1e-9))).map((row) => shown.cells.id[row]);

/** @param {any} shown @param {string} zone */
function dataUntil({ data_until: end, assimilated_incidents: n }, zone) {
  const until = t("standsOnDataUntil", { date: dayText(plusHours(inZone(end, zone), -1)) });
  return n ? `${until} · ${t("sinceTraining", { n: count(n) })}` : until;
}

/** @param {any} shown @param {string} zone */
export function drawHead(shown, zone) {
  byId("data-until").textContent = dataUntil(shown, zone);
  byId("when").textContent = spanText(shown, zone);
  byId("heading-when").textContent = byId("when").textContent;
  byId("when-zone").textContent = t("localTime", { zone: zoneText(shown.at, zone) });
  const { expected_total: n, expected_total_lo: lo, expected_total_hi: hi } = shown;
  const [before, after] = t("expectedTotal").split("{n}");
  byId("total").replaceChildren(before, make("strong", {}, fixed(n)), `${after} · ${t("interval90", { lo: count(lo), hi: count(hi) })}`);
  byId("heading-total").replaceChildren(...byId("total").cloneNode(true).childNodes);
}

/** Warnings about this forecast; those that always hold are under Evaluation. @param {any} shown @param {string[]} opening */
export function drawNotice(shown, opening) {
  const passing = shown.warnings.filter((/** @type {any} */ warning) => warning.code !== "boundary_derived");
  const lines = [...opening, ...passing.map(messageText)];
  byId("notice").hidden = lines.length === 0;
  byId("notice").replaceChildren(...lines.map((text) => make("div", {}, text)));
}

/** Hotspots stand out from the scale: orange lies within that of differences. */
export const hotspotColour = () => ([view.measure, view.vs].includes("difference") ? COLOURS.ink : COLOURS.hotspot);

/** @param {import("./measures.js").Scale} scale @param {any} outcomes what happened, null where it is not shown */
export function drawLegend(scale, outcomes) {
  const short = (/** @type {number} */ v) => (v === 0 ? "0" : number(v, 2));
  const measure = scale.title ?? view.measure;
  const text = (/** @type {number} */ v) => (["difference", "band"].includes(measure) ? `${short(v)} ×` : short(v));
  if (view.tab === "plan") {
    // The zones are what counts: where they lie among more and fewer incidents is enough.
    byId("legend").replaceChildren(make("div", { class: "title" }, t("legendPlan")), make("div", { class: "ramp", style: `background: ${gradient(scale.ramp, true)}` }),
      make("div", { class: "ticks" }, make("span", {}, t("legendFew")), make("span", {}, t("legendMany"))));
    return;
  }
  const root = ["difference", "width", "band"].includes(measure) ? "" : `; ${t("scale")}`;
  byId("legend").replaceChildren(
    make("div", { class: "title" }, t(measure)),
    make("div", { class: "ramp", style: `background: ${gradient(scale.ramp, true)}` }),
    make("div", { class: "ticks" }, ...scale.ticks.map((tick, i) => make("span", {}, `${beyond(scale, i)}${text(tick)}`))),
    make("div", { class: "unit" }, t(scale.unit ?? `${view.measure}Unit`) + root + quiet(scale)),
    make("div", { class: "unit" }, make("span", { class: "mark", style: `border-color: ${hotspotColour()}` }), t("topOf", { top: view.top })),
    ...(outcomes ? [outcomesKey(outcomes)] : []),
  );
}

/** Where nearly all intervals are 0 to 0, what that means. @param {import("./measures.js").Scale} scale */
const quiet = ({ values, title }) => (view.measure === "width" && !title ? `; ${t("widthQuiet", { n: count(values.filter((v) => v === 0).length), all: count(values.length) })}` : "");

/** Cells beyond an end of the scale take its colour: the end says so. @param {import("./measures.js").Scale} scale @param {number} i a tick */
function beyond({ values, ticks, times }, i) {
  const end = ticks[i] / times;
  if (i === ticks.length - 1 && values.some((value) => value > end * (1 + 1e-9))) return "≥\u00a0";
  return i === 0 && values.some((value) => value < end * (1 - 1e-9)) ? "≤\u00a0" : "";
}

/** What the dots are. @param {any} outcomes */
function outcomesKey({ from, to, in_sample: seen }) {
  const dot = (/** @type {string} */ colour) => make("span", { class: "key", style: `background: ${colour}` });
  return make("div", { class: "unit", id: "dots-key" }, t("dots", { from: dayText(from), to: dayText(to) }),
    dot(COLOURS.hit), t("hits"), dot(COLOURS.miss), t("misses"), ...(seen ? [`; ${t("seenInTraining")}`] : []));
}

/** @param {any} head a hotspots reply @param {import("./scores.js").Record_ | null} record @param {any} shown @param {string} zone */
export function drawShares(head, record, shown, zone) {
  const caught = record && caughtAt(record.own, view.top);
  const figure = (/** @type {string} */ value, /** @type {string} */ name, /** @type {string} */ more) =>
    make("div", {}, make("strong", {}, value), make("span", {}, name), make("span", {}, more));
  byId("shares").replaceChildren(
    figure(percent(head.share_of_area), t("topArea"), `${number(head.area_km2)} km²`),
    figure(percent(head.share_of_incidents_expected), t("topExpected"),
      head.share_of_incidents_lo === 0 && head.share_of_incidents_hi === 1 ? t("shareOpen") : t("shareRange", { lo: count(100 * head.share_of_incidents_lo), hi: count(100 * head.share_of_incidents_hi) })),
    figure(caught ? `${caught.exact ? "" : "≈ "}${percent(caught.rate)}` : "–", t("topCaught"),
      caught ? (record && reservations(record, shown).length ? t("notOfThisView") : t("beforeToday")) : t("notScored")),
  );
  byId("shares-note").replaceChildren(
    t("topCount", { n: count(head.n_cells), all: count(head.n_cells_total), count: number(head.expected_count, 2), range: rangeText(head.expected_count_lo, head.expected_count_hi) }),
    ...(record ? [make("span", { class: "compared" }, comparison(record, zone)), ...notOfThis(record, shown)] : []),
  );
}

/** How what is shown differs from what the record is of: single hours of all categories, soon after the data end. @param {import("./scores.js").Record_} record @param {any} shown */
function reservations({ days }, { asked, n_slots: n = 1, lead_hours: lead }) {
  return [
    ...(n > 1 ? [t("shownHours", { n })] : []),
    ...(asked.category ? [t("shownCategory", { category: asked.category })] : []),
    ...(lead > 24 * days ? [t("shownLater", { n: count(lead / 24) })] : []),
  ];
}

/** @param {import("./scores.js").Record_} record @param {any} shown */
function notOfThis(record, shown) {
  const found = reservations(record, shown);
  return found.length ? [make("strong", { class: "compared", id: "not-of-this" }, t("recordDiffers", { shown: found.join(", ") }))] : [];
}

/** @param {number} v a share @param {number} [places] */
export const percent = (v, places = v < 0.1 ? 1 : 0) => `${fixed(100 * v, places)}\u00a0%`;

/**
 * How much better than chance and than the baselines the top cells were, in a sentence.
 * @param {import("./scores.js").Record_} record @param {string} zone
 */
export function comparison(record, zone) {
  const own = caughtAt(record.own, view.top);
  if (!own) return "";
  const rivals = rivalsOf(record).flatMap((name) => [caughtAt(record.models[name], view.top)].flatMap((found) => (found ? [{ name, rate: found.rate }] : [])));
  const list = (/** @type {boolean} */ ahead) => rivals.filter(({ rate }) => rate >= own.rate === ahead).map(({ name, rate }) => `${modelName(name)} ${percent(rate, 1)}`).join(", ");
  const { lo, hi } = rateInterval(own.rate, record.n);
  const text = t("compared", {
    days: count(record.days), date: dayText(inZone(record.since, zone)), n: count(record.n), top: view.top,
    rate: percent(own.rate, 1), lo: percent(lo, 1), hi: percent(hi, 1), times: fixed((100 * own.rate) / view.top, 1),
  });
  const sentences = [text, ...(list(true) ? [t("comparedAhead", { rivals: list(true) })] : []), ...(list(false) ? [t("comparedRivals", { rivals: list(false) })] : [])];
  return sentences.join(" ");
}

/** An interval of whole incidents; 0 to 0 beside a fraction says nothing to anybody. @param {number} lo @param {number} hi */
const rangeText = (lo, hi) => (hi === 0 ? t("likelyNone") : `${count(lo)}–${count(hi)}`);

/** @param {number} times */
const oneIn = (times) => (times > RAREST ? t("rarerThan", { n: count(RAREST) }) : t("oneIn", { n: number(times, 2) }));

/** Figures of one cell as [name, value]. @param {any} shown @param {number} row @param {number} rank */
function cellRows(shown, row, rank) {
  const { probability, expected_count: n, expected_count_lo: lo, expected_count_hi: hi, longitude, latitude } = shown.cells;
  const area = nameOf(longitude[row], latitude[row]);
  const crossing = crossingOf(longitude[row], latitude[row]);
  const off = factorsOff(shown.cells);
  return [
    ...(crossing ? [[t("nearestStreets"), crossing]] : []),
    ...(area ? [[t("neighbourhood"), area]] : []),
    [t("rank"), t("of", { a: count(rank), b: count(probability.length) })],
    [t("probability"), `${number(100 * probability[row])} %`],
    [t("expectedShort"), `${number(n[row], 2)} (${rangeText(lo[row], hi[row])})`],
    ...(off ? [[t("band"), `× ${number(off[row], 2)}`]] : []),
    [t("atLeastOne"), oneIn(1 / -Math.expm1(-n[row]))],
    [t("place"), make("span", { class: "whole" }, coordinates(latitude[row], longitude[row]))],
  ];
}

/** @param {any} shown @param {number} row -1: none @param {number} rank from 1 */
export function drawCard(shown, row, rank) {
  const card = byId("card");
  card.hidden = row < 0;
  if (row < 0) return;
  const rows = cellRows(shown, row, rank).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  card.replaceChildren(make("h2", {}, `${t("cell")} ${shown.cells.id[row]}`), make("dl", {}, ...rows));
  if (shown.cells.id[row] === view.cell) addWhy(card, shown, [shown.cells.id[row]]);
}

/** Crossing or neighbourhood and coordinates, or the latter alone. @param {number} lon @param {number} lat */
function placeOf(lon, lat) {
  const area = crossingOf(lon, lat) || nameOf(lon, lat);
  const at = coordinates(lat, lon);
  return area ? make("span", {}, make("span", { class: "area", title: area }, area), make("span", { class: "at" }, at)) : at;
}

/**
 * @param {any} shown @param {number[]} ranked @param {(id: number) => void} onChoose
 */
export function topCells(shown, ranked, onChoose) {
  const { id, probability, expected_count: n, expected_count_lo: lo, expected_count_hi: hi, longitude, latitude } = shown.cells;
  const rows = ranked.slice(0, LISTED).map((row, i) => [
    make("button", { type: "button", "data-cell": id[row], "aria-pressed": String(view.cell === id[row]), onclick: () => onChoose(id[row]) }, String(i + 1)),
    placeOf(longitude[row], latitude[row]),
    `${aligned(100 * probability[row])}\u00a0%`,
    hi[row] === 0 ? make("span", {}, aligned(n[row]), make("span", { class: "at" }, t("likelyNone"))) : `${aligned(n[row])}\u00a0(${rangeText(lo[row], hi[row])})`,
  ]);
  const made = table(t("topCells"), [t("rank"), t("place"), t("shareShort"), t("expectedShort")], rows);
  for (const line of made.querySelectorAll("tbody tr")) {
    line.classList.toggle("chosen", Number(line.querySelector("button").dataset.cell) === view.cell);
  }
  return made;
}
