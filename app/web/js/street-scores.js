/** What the best streets caught in a backtest, beside last year's list of streets and the same cells. */
import { make, table } from "./dom.js";
import { percent } from "./forecast.js";
import { count, t } from "./i18n.js";
import { view } from "./view.js";

const USUAL_PERCENT = 5;

/** @typedef {{percent: number, hits: number, share: number, share_lo: number, share_hi: number, differences?: Record<string, {hits: number, lo: number, hi: number}>}} Row */

/** A verdict, a table; nothing where the region had no streets. @param {any} backtest its result, or null @param {string} model */
export function streetsPart(backtest, model) {
  const found = backtest?.streets;
  const lists = found?.models[model];
  if (!lists || !found.n) return [];
  const shown = Math.max(0, found.percents.indexOf(found.percents.includes(view.top) ? view.top : USUAL_PERCENT));
  return [
    verdict(lists.all_hours[shown], found.counts[shown], lists.cells[shown], found.n),
    shares(found, lists, model),
    make("p", { class: "note", id: "streets-how" }, [
      t("streetsHow", { km: count(found.length_km) }), ...(found.n_off_streets ? [t("streetsFar", { n: count(found.n_off_streets) })] : []),
    ].join(" ")),
  ];
}

/** Against last year's counts of each street, as plainly when it loses. @param {Row} own @param {Row} counts @param {Row} cells @param {number} n */
function verdict(own, counts, cells, n) {
  const gap = /** @type {{hits: number, lo: number, hi: number}} */ (own.differences?.counts);
  const key = gap.lo > 0 ? "streetsMore" : gap.hi < 0 ? "streetsLess" : "streetsSame";
  const signed = (/** @type {number} */ hits) => `${hits > 0 ? "+" : ""}${count(hits)}`;
  return make("p", { class: "headline", id: "streets-verdict" }, make("strong", {}, t(key)), ". ", [
    t("streetsCatch", { top: own.percent, ours: count(own.hits), others: count(counts.hits), n: count(n) }),
    t("pastRange", { lo: signed(gap.lo), hi: signed(gap.hi) }),
    t("streetsCells", { hits: count(cells.hits) }),
  ].join(" "));
}

/** @param {any} found @param {any} lists @param {string} model */
function shares(found, lists, model) {
  const line = (/** @type {string} */ name, /** @type {Row[]} */ rows) => [name, ...rows.map((row) => percent(row.share, 1))];
  const rows = [
    line(model, lists.all_hours), line(t("streetsByHour"), lists.by_hour), line(t("streetsByCounts"), found.counts), line(t("streetsByCells"), lists.cells),
    [t("chance"), ...found.percents.map((/** @type {number} */ k) => `${k}\u00a0%`)],
  ];
  const made = table(t("streetScores"), [t("streetsList"), ...found.percents.map((/** @type {number} */ k) => `${t("topK")} ${k}\u00a0%`)], rows);
  made.id = "street-rates";
  made.querySelector("tbody tr")?.classList.add("best");
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("streetScores") }, made);
}
