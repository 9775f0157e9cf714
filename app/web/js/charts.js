/** Small line charts as SVG, in the page's language and colours. */
import { fixed } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const SIZE = { width: 340, height: 230, left: 38, right: 10, top: 10, bottom: 34 };
/** Colours that stay apart for the colour-blind; the dash separates them in print. */
const LOOKS = [["#0b5cab", ""], ["#b8430a", "7 3"], ["#00664a", "2 3"], ["#7a3b8f", "9 3 2 3"], ["#8a6d00", "1 4"], ["#4d5b68", "4 4"]];

/** @param {string} tag @param {Record<string, string | number>} attributes @param {...(Node | string)} children */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * @param {{label: string, x: string, y: string, xMax: number, yMax: number, mark?: number, chance?: string,
 *   lines: {name: string, points: number[][]}[]}} chart percent on both axes; the first line is drawn strongest
 */
export function lineChart({ label, x, y, xMax, yMax, lines, mark, chance }) {
  const { width, height, left, right, top, bottom } = SIZE;
  const atX = (/** @type {number} */ v) => left + ((width - left - right) * v) / xMax;
  const atY = (/** @type {number} */ v) => height - bottom - ((height - top - bottom) * v) / yMax;
  const text = (/** @type {number} */ px, /** @type {number} */ py, /** @type {string} */ words, anchor = "middle") =>
    draw("text", { x: px, y: py, "text-anchor": anchor, class: "tick" }, words);
  const parts = [];
  for (let i = 0; i <= 4; i++) {
    const [vx, vy] = [(xMax * i) / 4, (yMax * i) / 4];
    parts.push(draw("line", { x1: left, x2: width - right, y1: atY(vy), y2: atY(vy), class: "rule" }),
      text(left - 5, atY(vy) + 4, fixed(vy, 0), "end"), text(atX(vx), height - bottom + 14, fixed(vx, 0)));
  }
  parts.push(text((left + width - right) / 2, height - 4, x), draw("text", { x: 0, y: 0, "text-anchor": "middle", class: "tick", transform: `translate(10 ${(height - bottom + top) / 2}) rotate(-90)` }, y));
  if (mark !== undefined) parts.push(draw("line", { x1: atX(mark), x2: atX(mark), y1: top, y2: height - bottom, class: "marked" }));
  const all = chance ? [...lines, { name: chance, points: [[0, 0], [Math.min(xMax, yMax), Math.min(xMax, yMax)]] }] : lines;
  const look = (/** @type {number} */ i) => LOOKS[chance && i === all.length - 1 ? LOOKS.length - 1 : i % (LOOKS.length - 1)];
  [...all.entries()].reverse().forEach(([i, { points }]) => {
    const [stroke, dash] = look(i);
    parts.push(draw("polyline", { points: points.map(([a, b]) => `${atX(a).toFixed(1)},${atY(b).toFixed(1)}`).join(" "), fill: "none", stroke, "stroke-dasharray": dash, "stroke-width": i === 0 ? 2.6 : 1.5 }));
  });
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" }, ...parts);
  return [chart, key(all.map(({ name }, i) => [name, ...look(i)]))];
}

/** @param {string[][]} names name, colour, dash */
function key(names) {
  const holder = document.createElement("div");
  holder.className = "chart-key";
  for (const [name, stroke, dash] of names) {
    const item = document.createElement("span");
    item.append(draw("svg", { viewBox: "0 0 24 8", width: 24, height: 8, "aria-hidden": "true" }, draw("line", { x1: 0, x2: 24, y1: 4, y2: 4, stroke, "stroke-width": 2.4, "stroke-dasharray": dash })), ` ${name}`);
    holder.append(item);
  }
  return holder;
}
