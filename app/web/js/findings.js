/** What stands out in incidents that came in, in sentences that say what to do about it. */
import { make, table } from "./dom.js";
import { count, fixed, t } from "./i18n.js";
import { monthText } from "./time.js";

const MAX_PILES = 3;
const SHOWN_ERRORS = 10;
const CODES = ["looks_swapped", "outside_study_area", "zero", "not_degrees", "ambiguous_date", "bad_time", "missing", "epoch_not_accepted", "too_old", "in_the_future", "not_a_number", "out_of_range", "bad_text", "unknown_source", "unreadable_row"];

/** Why rows were refused, the most frequent first. @param {Record<string, number>} byCode */
export const refusals = (byCode) => Object.entries(byCode).sort(([, a], [, b]) => b - a).map(([code, n]) =>
  CODES.includes(code) ? t(`row_${code}`, { n: count(n) }) : t("row_other", { n: count(n), code }));

/** @param {any} uploads of a data report */
function rows(uploads) {
  const told = refusals(uploads.rejected_by_code);
  const swapped = uploads.swapped_coordinates - (uploads.rejected_by_code.looks_swapped ?? 0);
  if (swapped > 0) told.push(t("row_looks_swapped", { n: count(swapped) }));
  if (uploads.far_away) told.push(t("findFar", { n: count(uploads.far_away) }));
  if (uploads.repeated_rows) told.push(t("findRepeated", { n: count(uploads.repeated_rows) }));
  const years = Object.entries(uploads.implausible_years).map(([year, n]) => `${year} (${count(n)})`);
  if (years.length) told.push(t("findYears", { years: years.join(", ") }));
  return told;
}

/** @param {any} report */
function times({ times: clock, dated_early: early }) {
  const percent = (/** @type {number} */ share) => fixed(100 * share);
  const told = clock.told.filter((/** @type {any} */ found) => found.spike).map((/** @type {any} */ found) =>
    t("findSpike", { n: count(found.n), share: percent(found.share), at: found.at }));
  if (clock.resolution === "hour") told.push(t("findFullHours"));
  if (early.n) {
    const years = Object.keys(early.years);
    told.push(t("findEarly", { n: count(early.n), before: monthText(early.before), from: years[0], to: years[years.length - 1] }));
  }
  return told;
}

/** @param {any} report */
function places({ places: found }) {
  const told = found.piles.slice(0, MAX_PILES).map((/** @type {any} */ pile) =>
    t("findPile", { n: count(pile.n), share: fixed(100 * pile.share), at: `${pile.longitude.toFixed(5)}, ${pile.latitude.toFixed(5)}` }));
  if (found.piles.length > MAX_PILES) told.push(t("findPiles", { n: count(found.piles.length - MAX_PILES) }));
  if (found.decimals !== null) told.push(t("findRounded", { n: found.decimals, m: count(found.step_m) }));
  return told;
}

/** @param {any} report @returns {string[]} */
export function findings(report) {
  const breaks = report.breaks.map((/** @type {any} */ found) =>
    t("findBreak", { month: monthText(found.month), before: fixed(found.before_per_day), after: fixed(found.after_per_day) }));
  return [...rows(report.uploads), ...times(report), ...places(report), ...breaks];
}

/** Warnings of an upload that its counts by code do not tell. @param {any} reply @returns {string[]} */
export function warnings({ warnings: told, rejected_by_code: byCode }) {
  const kinds = /** @type {[RegExp, string, string][]} */ ([
    [/look swapped in (\d+|most)/, "row_looks_swapped", "looks_swapped"],
    [/^(\d+) rows lie over 1 km/, "row_outside_study_area", "outside_study_area"],
    [/^(\d+) rows lie over/, "findFar", ""],
  ]);
  return told.flatMap((/** @type {string} */ text) => {
    const [pattern, key, code] = kinds.find(([known]) => known.test(text)) ?? [];
    if (!pattern || !key) return [text];
    const n = pattern.exec(text)?.[1];
    return code && byCode[code] ? [] : [t(key, { n: n === "most" ? t("most") : count(Number(n)) })];
  });
}

/** @param {string[]} sentences */
export const sentences = (sentences) => make("ul", { class: "plain" }, ...sentences.map((told) => make("li", {}, told)));

/** The first refused rows. @param {any[]} errors @param {number} rejected */
export function refusedRows(errors, rejected) {
  if (!errors.length) return [];
  const shown = errors.slice(0, SHOWN_ERRORS);
  const lines = shown.map((/** @type {any} */ e) => [String(e.row), make("span", {}, e.field ?? "", make("span", { class: "note block" }, e.code)), e.message]);
  const grid = table(t("refusedRows"), [t("rowNumber"), t("field"), t("reason")], lines);
  grid.className = "words";
  const more = rejected > shown.length ? [make("p", { class: "note" }, t("moreProblems", { n: count(rejected - shown.length) }))] : [];
  return [make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("refusedRows") }, grid), ...more];
}
