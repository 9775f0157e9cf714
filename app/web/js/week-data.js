/** What the data say of each hour of the week, before any model: exact times, intervals, unknown ones; in the week strip. */
import { may } from "./access.js";
import { getJson, regionPath } from "./api.js";
import { byId, make } from "./dom.js";
import { percent } from "./forecast.js";
import { count, fixed, t } from "./i18n.js";
import { plusHours, weekdayText } from "./time.js";
import { view } from "./view.js";
import { drawWeekGrid } from "./week-strip.js";

/** From the bottom up: dark, light, and of another hue, so that they stay apart for the colour-blind. */
const PARTS = /** @type {[string, string][]} */ ([["exact", "#225ea8"], ["interval", "#7fcdbb"], ["placeholder", "#c2569b"]]);
/** How many times as high as the highest bar of known times others may be. */
const KNOWN_TIMES = 1.6;
/** @type {{path: string, reply: any} | null} */ let held = null;

/** @param {() => any} onView */
export function openWeekViews(onView) {
  byId("strip-views").addEventListener("change", (/** @type {any} */ event) => {
    view.strip = event.target.value;
    onView();
  });
}

/** Only who may list incidents sees how many each hour has. */
export function syncWeekViews() {
  if (!may("report")) view.strip = "";
  byId("strip-views").hidden = !may("report");
  for (const choice of byId("strip-views").querySelectorAll("input")) choice.checked = choice.value === view.strip;
}

/** Of the chosen kind. */
export async function loadWeekData() {
  const path = regionPath(view.region, `hour-of-week?${new URLSearchParams(view.category ? { category: view.category } : {})}`);
  if (held?.path !== path) held = { path, reply: await getJson(path) };
  return held.reply;
}

/** Ask anew next time: the region or its data have changed. */
export function forgetWeekData() {
  held = null;
}

/** @param {any} reply of /hour-of-week */
export function drawWeekData(reply) {
  const totals = reply.exact.map((/** @type {number} */ n, /** @type {number} */ hour) => n + reply.interval[hour] + reply.placeholder[hour]);
  const most = barsEnd(reply, totals);
  drawWeekGrid(t("weekData"), (at, hour) => {
    const label = t("dataSlot", { when: named(at), n: fixed(totals[hour]), ...Object.fromEntries(PARTS.map(([name]) => [name, fixed(reply[name][hour])])) });
    return { label, background: stacked(PARTS.map(([name, colour]) => [reply[name][hour] / most, colour]), totals[hour] > most) };
  });
  byId("strip").classList.add("data");
  byId("strip-note").hidden = false;
  byId("strip-legend").replaceChildren(...legend(reply));
  byId("strip-note").textContent = summary(reply, totals);
}

/** Midnights of unknown times may be many times as high as all else, which would be too flat then. @param {any} reply @param {number[]} totals */
function barsEnd(reply, totals) {
  const known = Math.max(...totals.map((n, hour) => n - reply.placeholder[hour]));
  return Math.max(Math.min(Math.max(...totals), KNOWN_TIMES * known || Infinity), 1e-9);
}

/** Shares of the height of a cell as one background; a bar that is cut off has a gap. @param {[number, string][]} parts @param {boolean} cut */
function stacked(parts, cut) {
  let low = 0;
  const stops = parts.map(([share, colour]) => {
    const from = low;
    low += 100 * share;
    return `${colour} ${from.toFixed(1)}% ${low.toFixed(1)}%`;
  });
  const gap = cut ? "linear-gradient(to top, transparent 80%, #fff 80% 88%, transparent 88%), " : "";
  return `${gap}linear-gradient(to top, ${stops.join(", ")}, var(--soft) ${low.toFixed(1)}%)`;
}

/** @param {string} at */
const named = (at) => `${weekdayText(at)} ${at.slice(11, 16)}`;

/** @param {any} reply */
const legend = (reply) => PARTS.map(([name, colour]) => {
  const part = reply[name].reduce((/** @type {number} */ sum, /** @type {number} */ n) => sum + n, 0);
  return make("span", {}, make("span", { class: "swatch", style: `background: ${colour}` }), t(`data_${name}`), ` ${percent(part / Math.max(reply.n_incidents, 1))}`);
});

/** @param {any} reply @param {number[]} totals */
function summary(reply, totals) {
  const monday = "2024-01-01T00:00";
  const [high, low] = [Math.max(...totals), Math.min(...totals)].map((n) => ({ n: fixed(n), at: named(plusHours(monday, totals.indexOf(n))) }));
  const end = barsEnd(reply, totals);
  const cut = totals.some((n) => n > end) ? ` ${t("dataCut", { n: fixed(end) })}` : "";
  return t("dataSummary", { all: count(reply.n_incidents), kind: view.category || t("allCategories"), high: high.at, n: high.n, low: low.at, m: low.n, left: percent(reply.hour_information) }) + cut;
}
