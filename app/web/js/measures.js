/** What a cell can be coloured by: its values, its scale, its legend. */
import { DIVERGING_RAMP, SEQUENTIAL_RAMP, upperEnd } from "./colours.js";

/** Ratios beyond this take the end colour. */
const MAX_RATIO = 4;
const LEGEND_AT = [0, 0.25, 0.5, 0.75, 1];

/**
 * @typedef {{values: number[], top: number, place: (v: number) => number, ramp: number[][],
 *   ticks: number[], times: number, unit?: string, title?: string, measure?: string}} Scale `place` maps a value to 0..1 along the ramp
 */

/** @param {number[]} values @param {number} times shown value = value x times @param {Scale | null} before @returns {Scale} */
function sequential(values, times, before) {
  const top = before?.top ?? upperEnd(values);
  return {
    values, top, times, ramp: SEQUENTIAL_RAMP,
    place: (value) => Math.sqrt(Math.min(Math.max(value / top, 0), 1)),
    ticks: LEGEND_AT.map((at) => top * at * at * times),
  };
}

/** Whole numbers, few of them apart: a linear scale up to the largest. @param {number[]} values @param {Scale | null} before @returns {Scale} */
function whole(values, before) {
  const top = before?.top ?? values.reduce((most, value) => Math.max(most, value), 1);
  const ticks = [...new Set(LEGEND_AT.map((at) => Math.round(at * top)))];
  return { values, top, times: 1, ramp: SEQUENTIAL_RAMP, place: (value) => Math.min(value / top, 1), ticks };
}

/** Factors from 1 on. @param {number[]} values @param {Scale | null} before @returns {Scale} */
function factors(values, before) {
  const top = before?.top ?? Math.max(values.reduce((most, value) => Math.max(most, value), 1), 1.1);
  return {
    values, top, times: 1, ramp: SEQUENTIAL_RAMP,
    place: (value) => Math.min(Math.max((value - 1) / (top - 1), 0), 1),
    ticks: LEGEND_AT.map((at) => 1 + at * (top - 1)),
  };
}

/** By which factor each cell's expected count may be off, or null where that is not known. @param {any} cells */
export function factorsOff({ band_lo: low, band_hi: high }) {
  return high ? high.map((/** @type {number} */ h, /** @type {number} */ i) => (h > 0 ? Math.sqrt(h / low[i]) : 1)) : null;
}

/** @param {number[]} ratios @returns {Scale} */
function diverging(ratios) {
  const reach = Math.log(MAX_RATIO);
  return {
    values: ratios, top: MAX_RATIO, times: 1, ramp: DIVERGING_RAMP,
    place: (ratio) => Math.min(Math.max(0.5 + Math.log(Math.max(ratio, 1e-9)) / reach / 2, 0), 1),
    ticks: LEGEND_AT.map((at) => MAX_RATIO ** (2 * at - 1)),
  };
}

/**
 * @param {string} measure @param {any} shown a density reply @param {any} usual the week's, for `difference`
 * @param {Scale | null} before the scale whose end to use again, or null
 * @returns {Scale}
 */
export const scaleOf = (measure, shown, usual, before) => ({ ...madeOf(measure, shown, usual, before?.measure === measure ? before : null), measure });

/** @param {string} measure @param {any} shown @param {any} usual @param {Scale | null} before @returns {Scale} */
function madeOf(measure, shown, usual, before) {
  const { probability, expected_count: expected, expected_count_lo: low, expected_count_hi: high } = shown.cells;
  if (measure === "expected") return sequential(expected, 1, before);
  if (measure === "width") return whole(high.map((/** @type {number} */ h, /** @type {number} */ i) => h - low[i]), before);
  if (measure === "band") {
    const off = factorsOff(shown.cells);
    return off ? factors(off, before) : { ...factors(probability.map(() => 1), null), unit: "bandUnknown" };
  }
  if (measure === "difference") {
    return diverging(probability.map((/** @type {number} */ p, /** @type {number} */ i) => p / Math.max(usual.cells.probability[i], 1e-12)));
  }
  return sequential(probability, 100, before);
}

/**
 * Incidents expected more or fewer than by another forecast, or null where the cells are not the same.
 * @param {any} shown a density reply @param {any} other another @returns {Scale | null}
 */
export function contrastOf(shown, other) {
  const { id, expected_count: expected } = shown.cells;
  if (other.cells.id.length !== id.length || other.grid.nx !== shown.grid.nx || other.cells.id[0] !== id[0]) return null;
  const values = expected.map((/** @type {number} */ n, /** @type {number} */ i) => n - other.cells.expected_count[i]);
  const top = upperEnd(values.map(Math.abs));
  return {
    values, top, times: 1, ramp: DIVERGING_RAMP, unit: "contrastUnit", title: "contrast", measure: "contrast",
    place: (value) => 0.5 + (Math.sign(value) * Math.sqrt(Math.min(Math.abs(value) / top, 1))) / 2,
    ticks: [-top, 0, top],
  };
}
