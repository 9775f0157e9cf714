/** Why here: the factors of a place's forecast as bars and words, its incidents by month, and its kind. */
import { forecastPath, getJson } from "./api.js";
import { draw } from "./charts.js";
import { make } from "./dom.js";
import { selectors } from "./export.js";
import { count, fixed, t } from "./i18n.js";
import { messageText } from "./service-messages.js";
import { monthText } from "./time.js";
import { view } from "./view.js";

const BAR = { width: 96, height: 9 };
const MONTHS = { width: 240, height: 40, gap: 2 };
/** On a phone the map is more than the reasons. */
const NARROW = "(max-width: 900px)";
/** @type {{path: string, reply: any} | null} */ let last = null;

/** @param {string[]} texts */
function sentenceOf(texts) {
  const text = texts.join("; ");
  return text ? `${text[0].toLocaleUpperCase()}${text.slice(1)}.` : "";
}

/** A bar from the middle: to the right what raises, to the left what lowers. @param {number} logRatio @param {number} most */
function bar(logRatio, most) {
  const half = BAR.width / 2;
  const length = (half * Math.abs(logRatio)) / most;
  return draw("svg", { viewBox: `0 0 ${BAR.width} ${BAR.height}`, width: BAR.width, height: BAR.height, "aria-hidden": "true" },
    draw("line", { x1: half, x2: half, y1: 0, y2: BAR.height, class: "rule" }),
    draw("rect", { x: logRatio < 0 ? half - length : half, y: 1, width: length, height: BAR.height - 2, class: logRatio < 0 ? "lowers" : "raises" }));
}

/** @param {any} reply */
function partsOf({ parts }) {
  const most = Math.max(...parts.map((/** @type {any} */ { log_ratio: v }) => Math.abs(v)), Math.log(1.5));
  const rows = parts.map((/** @type {any} */ { part, log_ratio: v, times }) =>
    make("tr", { "data-part": part }, make("th", { scope: "row" }, t(`why_${part}`)), make("td", {}, bar(v, most)), make("td", {}, `× ${fixed(times, 2)}`)));
  return make("table", {}, make("caption", {}, t("whyParts")), make("tbody", {}, ...rows));
}

/** @param {any} incidents */
function monthsOf({ months, n }) {
  const most = Math.max(...months.map((/** @type {any} */ month) => month.n), 1);
  const step = MONTHS.width / months.length;
  const columns = months.map((/** @type {any} */ { month, n: k }, /** @type {number} */ i) => {
    const height = (MONTHS.height * k) / most;
    return draw("rect", { x: i * step, y: MONTHS.height - height, width: step - MONTHS.gap, height, "data-month": month, "data-n": k },
      draw("title", {}, t("whyMonth", { month: monthText(month), n: count(k) })));
  });
  const label = t("whyMonths", { from: monthText(months[0].month), to: monthText(months.at(-1).month), n: count(n) });
  return make("figure", {},
    draw("svg", { viewBox: `0 0 ${MONTHS.width} ${MONTHS.height}`, role: "img", "aria-label": label }, ...columns),
    make("figcaption", {}, label));
}

/** Fill a container with a reply of `explain`. @param {HTMLElement} container @param {any} reply */
export function drawWhy(container, reply) {
  const { times, reasons, unsplit, incidents, kind } = reply;
  const lines = [sentenceOf(reasons.map(messageText)), ...(incidents ? [`${messageText(incidents.message)}.`] : []), ...(unsplit ? [messageText(unsplit)] : [])];
  container.replaceChildren(
    make("p", { class: "whole-of-it" }, t("whyWhole", { times: fixed(times, times < 10 ? 1 : 0) })),
    ...lines.filter(Boolean).map((text) => make("p", {}, text)),
    make("p", { class: "kind" }, messageText(kind.reason)),
    partsOf(reply),
    ...(incidents ? [monthsOf(incidents)] : []),
  );
}

/** Add to a card why the forecast of its cells is what it is. @param {HTMLElement} card @param {any} shown @param {number[]} ids */
export async function addWhy(card, shown, ids) {
  const body = make("div", {}, t("whyLoading"));
  card.append(make("details", { class: "why", open: !matchMedia(NARROW).matches }, make("summary", {}, t("why")), body));
  const path = forecastPath(view.region, "explain", { ...selectors(shown.asked), model: shown.model_version, state: shown.state, ...(ids.length === 1 ? { cell: ids[0] } : { cells: ids.join() }) });
  try {
    if (last?.path !== path) last = { path, reply: await getJson(path) };
    drawWhy(body, last.reply);
  } catch (error) {
    body.textContent = t("whyFailed", { message: error instanceof Error ? error.message : String(error) });
  }
}
