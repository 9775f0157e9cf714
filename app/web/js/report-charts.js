/** Charts of the data report: volume by month, and incidents by hour of the local week. */
import { draw } from "./charts.js";
import { SEQUENTIAL_RAMP, gradient } from "./colours.js";
import { make } from "./dom.js";
import { count, t } from "./i18n.js";
import { monthText, weekdayText } from "./time.js";

const WIDTH = 340;
const BARS = { height: 150, left: 44, top: 8, bottom: 20 };
const HEAT = { left: 38, top: 14, cell: 12, height: 14 };
const A_MONDAY = "2024-01-01T00:00";
const MAX_YEAR_LABELS = 8;

/** @param {number} x @param {number} y @param {string} words @param {string} anchor */
const text = (x, y, words, anchor) => draw("text", { x, y, "text-anchor": anchor, class: "tick" }, words);

/** A round number at or above this one. @param {number} most */
function roundUp(most) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return ([1, 2, 4, 5, 10].find((step) => step * unit >= most) ?? 10) * unit;
}

/**
 * Incidents of each month as bars; where the level breaks there is a dashed line.
 * @param {{month: string, n: number}[]} months @param {{month: string}[]} breaks
 */
export function monthBars(months, breaks) {
  const { height, left, top, bottom } = BARS;
  const most = roundUp(Math.max(...months.map(({ n }) => n)));
  const step = (WIDTH - left) / months.length;
  const atY = (/** @type {number} */ n) => height - bottom - ((height - bottom - top) * n) / most;
  const parts = [0, most / 2, most].flatMap((n) => [
    draw("line", { x1: left, x2: WIDTH, y1: atY(n), y2: atY(n), class: "rule" }), text(left - 5, atY(n) + 4, count(n), "end")]);
  const skip = Math.ceil(months.length / 12 / MAX_YEAR_LABELS);
  months.forEach(({ month, n }, i) => {
    const [year, number] = month.split("-");
    const bar = draw("rect", { x: left + i * step, width: Math.max(step * 0.82, 0.6), y: atY(n), height: Math.max(atY(0) - atY(n), 0), class: "bar-of" });
    bar.append(draw("title", {}, `${monthText(month)}: ${count(n)}`));
    parts.push(bar);
    const named = months.length <= 12 ? i % 3 === 0 : number === "01" && Number(year) % skip === 0;
    if (named) parts.push(text(left + i * step, height - 5, months.length <= 12 ? monthText(month) : year, "start"));
    if (breaks.some((found) => found.month === month)) parts.push(draw("line", { x1: left + i * step, x2: left + i * step, y1: top, y2: atY(0), class: "marked" }));
  });
  const sorted = [...months].sort((a, b) => a.n - b.n);
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const label = t("monthsLabel", { from: monthText(months[0].month), to: monthText(months[months.length - 1].month), high: monthText(high.month), n: count(high.n), low: monthText(low.month), m: count(low.n) });
  return draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "chart" }, ...parts);
}

/** Incidents by hour of the week as shades. @param {number[]} hours 168, from Monday 00:00 */
export function weekHeat(hours) {
  const { left, top, cell, height } = HEAT;
  const most = Math.max(...hours, 1);
  const day = (/** @type {number} */ i) => weekdayText(`2024-01-0${1 + Math.floor(i / 24)}${A_MONDAY.slice(10)}`);
  const named = (/** @type {number} */ i) => `${day(i)} ${String(i % 24).padStart(2, "0")}:00`;
  const parts = Array.from({ length: 8 }, (_, i) => text(left + 3 * i * cell + cell / 2, top - 4, String(3 * i), "middle"));
  hours.forEach((n, i) => {
    const row = Math.floor(i / 24);
    if (i % 24 === 0) parts.push(text(left - 5, top + row * height + 11, day(i), "end"));
    const shade = SEQUENTIAL_RAMP[Math.round((n / most) * (SEQUENTIAL_RAMP.length - 1))];
    const square = draw("rect", { x: left + (i % 24) * cell, y: top + row * height, width: cell - 1, height: height - 1, fill: `rgb(${shade.join(",")})` });
    square.append(draw("title", {}, `${named(i)} · ${count(n)}`));
    parts.push(square);
  });
  const [high, low] = [Math.max(...hours), Math.min(...hours)].map((n) => ({ n, at: named(hours.indexOf(n)) }));
  const label = t("heatLabel", { high: high.at, n: count(high.n), low: low.at, m: count(low.n) });
  const legend = make("div", { class: "legend" }, make("div", { class: "ramp", style: `background: ${gradient(SEQUENTIAL_RAMP)}` }),
    make("div", { class: "ticks" }, make("span", {}, "0"), make("span", {}, t("incidents", { n: count(most) }))));
  return [draw("svg", { viewBox: `0 0 ${WIDTH} ${top + 7 * height}`, role: "img", "aria-label": label, class: "chart" }, ...parts), legend];
}
