/** Whether what happened looked like what was forecast, how near the misses were, and how steady the list is: in words. */
import { make } from "./dom.js";
import { count, fixed, t } from "./i18n.js";
import { modelName } from "./scores.js";
import { dayText, inZone } from "./time.js";

const TESTS = ["N", "S", "CL"];

/** @param {any} backtest its result @param {string} model the served one @param {string} zone @returns {(Element | string)[]} */
export function consistencyPart(backtest, model, zone) {
  const found = backtest?.consistency?.models[model];
  const scores = backtest?.models[model];
  if (!scores) return [];
  return [
    ...(found?.all ? testsPart(found, backtest.consistency.models, model, zone) : []),
    ...gainPart(backtest, model),
    ...listPart(scores),
  ];
}

/** @param {any} found @param {any} models @param {string} model @param {string} zone */
function testsPart(found, models, model, zone) {
  const { all, failures, per_origin: periods } = found;
  const rival = models["pooled-kde"] && model !== "pooled-kde" ? models["pooled-kde"] : null;
  const independent = periods.filter((/** @type {any} */ one) => !one.clustering.periods).length;
  const failed = failures.map((/** @type {any} */ one) => make("li", {}, t(`failed${one.test}`, { date: dayText(inZone(one.origin, zone)) })));
  return [
    make("h3", {}, t("consistencyTitle")),
    make("p", { class: "headline", id: "consistency" }, t(independent === all.of ? "consistentAlone" : "consistent", { n: count(all.passed), of: count(all.of) })),
    make("p", { class: "note" }, t("consistencyHow"), " ", TESTS.map((test) => t(`passed${test}`, { n: count(found[test].passed), of: count(found[test].of) })).join(" "),
      ...(rival ? [" ", t("consistentRival", { name: modelName("pooled-kde"), n: count(rival.all.passed), of: count(rival.all.of) })] : []),
      ...(independent && independent < all.of ? [" ", t("consistencyFirst", { n: count(independent) })] : [])),
    ...(failed.length ? [make("ul", { class: "plain", id: "inconsistent" }, ...failed)] : []),
  ];
}

/** What the whole forecast, hours and places, is worth against each reference. @param {any} backtest @param {string} model */
function gainPart(backtest, model) {
  const rows = (backtest.information_gain?.rows ?? []).filter((/** @type {any} */ row) => row.model === model);
  const percent = (/** @type {number} */ nats) => `${nats < 0 ? "−" : "+"}${fixed(100 * Math.abs(Math.expm1(nats)), 0)}\u00a0%`;
  return rows.map((/** @type {any} */ row) => make("p", { class: "note gain", "data-rival": row.against }, t(row.lo > 0 ? "gainMore" : row.hi < 0 ? "gainLess" : "gainSame", {
    name: modelName(row.against), gain: percent(row.gain), lo: percent(row.lo), hi: percent(row.hi),
  })));
}

/** @param {any} scores of the served model */
function listPart({ near_misses: near, turnover }) {
  const score = (/** @type {number} */ value) => fixed(value, 2);
  const share = (/** @type {number} */ value) => `${fixed(100 * value, 0)}\u00a0%`;
  /** @type {string[]} */
  const lines = [];
  if (near?.fss) lines.push(`${t("nearMisses", { top: near.percent })} ${near.distance_m.map((/** @type {number} */ d, /** @type {number} */ i) => `${count(d)} m: ${score(near.fss[i])}`).join(", ")}.`);
  if (typeof turnover?.left === "number") lines.push(`${t("turnoverLeft", { top: turnover.percent })}: ${share(turnover.left)}.`);
  if (typeof turnover?.flip_flop === "number") lines.push(`${t("turnoverBack")}: ${share(turnover.flip_flop)}.`);
  if (!lines.length) return [];
  return [make("h3", {}, t("listTitle")), make("ul", { class: "plain" }, ...lines.map((line) => make("li", {}, line))), ...(near?.fss ? [make("p", { class: "note" }, t("nearHow"))] : [])];
}
