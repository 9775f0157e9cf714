/** Evaluation: track record, last week against what happened, version, warnings. */
import { may, missing } from "./access.js";
import { getJson, postJson, regionPath, save } from "./api.js";
import { lineChart } from "./charts.js";
import { consistencyPart } from "./consistency.js";
import { byId, definitions, make, table } from "./dom.js";
import { comparison, percent } from "./forecast.js";
import { count, fixed, number, t } from "./i18n.js";
import { lateDataPart } from "./late-data.js";
import { COLOURS } from "./overlays.js";
import { lazyDetails } from "./panel-state.js";
import { registerPart } from "./register.js";
import { follow, showError } from "./runs.js";
import { BASELINES, PAST, caughtAt, modelName, rivalsOf, trackRecord } from "./scores.js";
import { messageText } from "./service-messages.js";
import { streetsPart } from "./street-scores.js";
import { dayText, inZone } from "./time.js";
import { view } from "./view.js";

const PERCENTS = ["1", "5", "10", "20"];
const HORIZON_DAYS = 28;
const PLANNED_PERCENT = 20;
const TESTED = [PAST, "pooled-kde", "window-kde", "uniform"];
const DAY_MS = 24 * 3.6e6;
/** Ends the name of a model that is brought forward every day. */
const DAILY = " daily";

/**
 * @typedef {{region: any, version: any, shown: any, onOutcomes: (wanted: boolean) => Promise<any>, outcomes: any,
 *   onTested: () => Promise<void>}} Known
 */

/** @param {Known} known */
export async function drawEvaluation(known) {
  const { region, version, shown } = known;
  const pane = byId("pane-trust");
  if (!version) {
    pane.replaceChildren(make("p", { class: "notice" }, t("noModel")));
    return;
  }
  const [record, { alarms }, late, filed] = await Promise.all([
    trackRecord(region, version), getJson(regionPath(region.id, "alarms")), lateDataPart(region, version, known.onTested), registerPart(region),
  ]);
  const warnings = (shown?.warnings ?? []).map((/** @type {any} */ warning) => make("li", {}, messageText(warning)));
  pane.replaceChildren(
    ...(record ? recordPart(record, version, region) : [make("h3", {}, t("hitRates")), make("p", { class: "note" }, t("unscored"))]),
    backtestPart(known),
    ...filed,
    worthPart(region),
    ownPlacesPart(region),
    outcomesPart(known),
    ...late,
    ...alarmsPart(alarms, region),
    ...(warnings.length ? [make("h3", {}, t("warnings")), make("ul", { class: "plain notice", id: "warnings" }, ...warnings)] : []),
    make("h3", {}, t("modelAndData")), facts(region, version),
  );
}

/** What it is worth over what everybody can make. @param {any} region */
const worthPart = (region) => lazyDetails("worth", t("worthTitle"), region.id, async (holder) => (await import("./worth.js")).drawWorth(holder, region));

/** Places of the reader's own on a past period. @param {any} region */
function ownPlacesPart(region) {
  return lazyDetails("own-places", t("ownPlaces"), region.id, async (holder) => {
    if (!may("evaluate")) return holder.replaceChildren(make("p", { class: "note" }, missing("evaluate")));
    return (await import("./own-places.js")).drawOwnPlaces(holder, region);
  });
}

/** Alarms that are still open. @param {any[]} alarms @param {any} region */
function alarmsPart(alarms, region) {
  const open = alarms.filter((alarm) => !alarm.cleared_at);
  if (!open.length) return [];
  const lines = open.map((alarm) => make("li", {}, `${dayText(inZone(alarm.raised_at, region.timezone))}: ${messageText(alarm)}`));
  return [make("h3", {}, t("alarms")), make("ul", { class: "plain notice", id: "alarms" }, ...lines)];
}

/** @param {any} region @param {any} version */
function facts(region, version) {
  const day = (/** @type {string} */ instant) => dayText(inZone(instant, region.timezone));
  const age = region.last_at ? Math.max(0, Math.floor((Date.now() - Date.parse(region.last_at)) / DAY_MS)) : 0;
  return definitions([
    [t("model"), version.model],
    ...mixture(version.report?.weights),
    [t("version"), version.version],
    [t("trainedUntil"), day(version.trained_until)],
    [t("trainedOn"), t("incidents", { n: count(version.n_incidents) })],
    [t("dataUntil"), region.last_at ? `${day(region.last_at)} (${t(age === 1 ? "dayAgo" : "daysAgo", { n: count(age) })})` : "–"],
  ]);
}

/** Which models a mixture is made of, those with the most weight first. @param {Record<string, number> | undefined} weights @returns {[string, string][]} */
function mixture(weights) {
  const parts = Object.entries(weights ?? {}).filter(([, weight]) => weight >= 0.005).sort((a, b) => b[1] - a[1]);
  return parts.length ? [[t("mixture"), parts.map(([name, weight]) => `${name} ${percent(weight)}`).join(", ")]] : [];
}

/** What such lists caught: a sentence, a table, curves. @param {import("./scores.js").Record_} record @param {any} version @param {any} region */
function recordPart(record, version, region) {
  return [
    make("p", { class: "headline", id: "headline" }, comparison(record, region.timezone)),
    ...(record.backtest && record.backtest.origins.length > 1 ? [] : [make("p", { class: "headline", id: "one-period" }, t("onePeriod", { days: count(record.days) }))]),
    ...pastVerdict(record),
    ...totals(record, region.timezone),
    rates(record.models, version.model),
    ...record.differences.filter((d) => ![PAST, "uniform"].includes(d.against)).map((d) => verdict(d)),
    ...rivalsOf(record).filter((name) => name !== PAST).map((name) => catchVerdict(record, name)),
    ...refreshPart(record, version),
    ...streetsPart(record.backtest, version.model),
    ...consistencyPart(record.backtest, version.model, region.timezone),
    ...(record.backtest ? curves(record, version.model) : []),
  ];
}

/** Whether as many incidents came as were expected, for each period tested. @param {import("./scores.js").Record_} record @param {string} zone */
function totals({ backtest }, zone) {
  return (backtest?.counts?.per_origin ?? []).filter((/** @type {any} */ one) => one.total).map((/** @type {any} */ one) => make("p", { class: "headline totals" }, t(one.total.covered ? "totalCovered" : "totalMissed", {
    date: dayText(inZone(one.origin, zone)), expected: fixed(one.expected), nominal: fixed(100 * one.nominal, 0), lo: count(one.total.lo), hi: count(one.total.hi), observed: count(one.observed),
  })));
}

/** Who catches more at the share of cells shown: a baseline that does is said as plainly as one that does not. @param {import("./scores.js").Record_} record @param {string} name */
function catchVerdict({ own, models, n }, name) {
  const [mine, theirs] = [caughtAt(own, view.top), caughtAt(models[name], view.top)];
  if (!mine || !theirs) return "";
  const [ours, others] = [Math.round(mine.rate * n), Math.round(theirs.rate * n)];
  const key = ours > others ? "catchesMore" : ours < others ? "catchesLess" : "catchesSame";
  return make("p", { class: "note verdict", "data-rival": name }, make("strong", {}, t(key, { name: modelName(name) })), `. ${t("catches", { top: view.top, ours: count(ours), others: count(others), n: count(n) })}`);
}

/** Against last year's counts, in numbers of incidents with their interval, as large as the headline. @param {import("./scores.js").Record_} record */
function pastVerdict(record) {
  const difference = record.differences.find((d) => d.against === PAST)?.hit_rate?.[view.top];
  const [mine, theirs] = [caughtAt(record.own, view.top), record.models[PAST] && caughtAt(record.models[PAST], view.top)];
  if (!mine || !theirs || record.models[PAST] === record.own) return [];
  const { n } = record;
  const { lo, hi } = difference ?? { lo: (mine.rate - theirs.rate), hi: (mine.rate - theirs.rate) };
  const key = lo > 0 ? "pastMore" : hi < 0 ? "pastLess" : "pastSame";
  const signed = (/** @type {number} */ share) => `${share > 0 ? "+" : ""}${count(n * share)}`;
  const range = difference ? ` ${t("pastRange", { lo: signed(lo), hi: signed(hi) })}` : "";
  const numbers = t("catches", { top: view.top, ours: count(n * mine.rate), others: count(n * theirs.rate), n: count(n) });
  return [make("p", { class: "headline", id: "past-verdict" }, make("strong", {}, t(key)), `. ${numbers}.${range}`)];
}

/** What following what arrives every day is worth, where the backtest asked. @param {import("./scores.js").Record_} record @param {any} version */
function refreshPart({ backtest }, version) {
  const found = backtest?.refresh?.differences.find((/** @type {any} */ d) => d.against === version.model);
  if (!found) return [];
  const worth = { days: count(backtest.refresh.delay_days), ...inNats({ ...found, mean: found.log_score }) };
  return [make("p", { class: "note verdict", id: "refresh-worth" }, make("strong", {}, t("refreshed")), `. ${t("refreshWorth", worth)}`)];
}

/** Hit rates of models against each other and against chance, best first. @param {any} models @param {string} best */
function rates(models, best) {
  // Uniform ranks equal cells by their id, which is as good as any other order: only chance is shown.
  const names = Object.keys(models).filter((name) => name !== "uniform" && !name.endsWith(DAILY)).sort((a, b) => models[b].cap_auc - models[a].cap_auc);
  const rows = names.map((name) => [modelName(name), ...PERCENTS.map((k) => percent(models[name].hit_rate[k], 1))]);
  rows.push([t("chance"), ...PERCENTS.map((k) => `${k}\u00a0%`)]);
  const made = table(t("hitRates"), [t("model"), ...PERCENTS.map((k) => `${t("topK")} ${k}\u00a0%`)], rows);
  made.id = "rates";
  made.querySelectorAll("tbody tr").forEach((/** @type {any} */ line, /** @type {number} */ i) => line.classList.toggle("best", names[i] === best));
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("hitRates") }, made);
}

/** @param {any} d mean, lo and hi in nats */
const inNats = (d) => ({ mean: number(d.mean, 2), lo: number(d.lo, 2), hi: number(d.hi, 2), ratio: `${d.mean < 0 ? "−" : "+"}${fixed(100 * Math.abs(Math.expm1(d.mean)), 1)}\u00a0%` });

/** @param {any} d against, mean, lo and hi in nats */
function verdict(d) {
  const name = modelName(d.against);
  const key = d.lo > 0 ? "betterYes" : d.hi < 0 ? "worse" : "betterNo";
  const values = { name, ...inNats(d) };
  return make("p", { class: "note verdict" }, make("strong", {}, t(key, { name })), `. ${t("better", values)}`);
}

/** CAP curve and calibration of the served model beside baselines. @param {import("./scores.js").Record_} record @param {string} served */
function curves(record, served) {
  const names = [served, ...BASELINES.filter((name) => name !== served && record.backtest.models[name])].filter((name) => record.backtest.models[name]).slice(0, 5);
  const models = names.map((name) => ({ ...record.backtest.models[name], name: modelName(name) }));
  const cap = models.map(({ name, cap_curve: curve }) => ({ name, points: curve.slice(0, PLANNED_PERCENT + 1).map((/** @type {number} */ v, /** @type {number} */ i) => [i, 100 * v]) }));
  const found = models.map(({ name, calibration }) => {
    let sum = 0;
    return { name, points: [[0, 0], ...calibration.pit.map((/** @type {number} */ v, /** @type {number} */ i) => [(100 * (i + 1)) / calibration.pit.length, 100 * (sum += v)])] };
  });
  const most = Math.max(...cap.flatMap(({ points }) => points.map((/** @type {number[]} */ p) => p[1])), PLANNED_PERCENT);
  const { counts } = record.backtest;
  return [
    make("h3", {}, t("capTitle")),
    ...lineChart({ label: t("capAlt"), x: t("capX"), y: t("capY"), xMax: PLANNED_PERCENT, yMax: Math.min(100, 20 * Math.ceil(most / 20)), lines: cap, mark: view.top, chance: t("chance") }),
    make("h3", {}, t("calibrationTitle")),
    ...lineChart({ label: t("calibrationAlt"), x: t("calibrationX"), y: t("calibrationY"), xMax: 100, yMax: 100, lines: found, chance: t("calibrationIdeal") }),
    ...(counts?.n_slots ? [make("p", { class: "note" }, t("coverage", { nominal: fixed(100 * counts.nominal, 0), coverage: fixed(100 * counts.coverage, 1), n: count(counts.n_slots) }))] : []),
    make("p", {}, make("button", { type: "button", id: "full-report", onclick: () => saveReport(record.backtest) }, t("fullReport"))),
  ];
}

/** @param {any} backtest */
const saveReport = ({ id, region }) => save(regionPath(region, `backtests/${id}/report`), `${region}-backtest.html`).catch(showError);

/** @param {Known} known */
function outcomesPart({ onOutcomes, outcomes, region }) {
  const text = make("div", { class: "note", id: "outcomes-text", "aria-live": "polite" });
  const say = (/** @type {any} */ found) => {
    if (!found) return text.replaceChildren();
    const line = t("outcomesText", {
      from: dayText(found.from), to: dayText(found.to), hits: count(found.hits), n: count(found.incidents),
      rate: found.hit_rate === null ? "–" : fixed(100 * found.hit_rate, 0), top: found.top,
    });
    const key = (/** @type {string} */ colour, /** @type {string} */ name) => [make("span", { class: "key", style: `background: ${colour}` }), name];
    text.replaceChildren(line, " ", t("outcomesByHour"), make("div", {}, ...key(COLOURS.hit, t("hits")), ...key(COLOURS.miss, t("misses"))),
      ...(found.in_sample ? [make("p", { class: "notice" }, t("inSample"))] : []));
  };
  const box = make("input", { type: "checkbox", id: "outcomes", checked: Boolean(outcomes), disabled: !region.last_at || !may("outcomes") });
  box.addEventListener("change", async () => say(await onOutcomes(box.checked)));
  say(outcomes);
  if (!may("outcomes")) text.replaceChildren(missing("outcomes"));
  return make("div", {}, make("h3", {}, make("label", {}, box, " ", t("outcomes"))), text);
}

/** @param {Known} known */
function backtestPart({ region, version, onTested }) {
  const status = make("div", { class: "status", role: "status" });
  const start = make("button", { type: "button", id: "start-backtest", disabled: !may("backtest") }, t("startBacktest"));
  start.addEventListener("click", async () => {
    start.disabled = true;
    const models = [...new Set([version.model, ...TESTED])];
    const path = regionPath(region.id, "backtests");
    await follow(path, () => postJson(path, { models, n_origins: 1, horizon_days: HORIZON_DAYS, refresh: "daily" }), status);
    start.disabled = false;
    if (view.region === region.id && status.classList.contains("good")) await onTested();
  });
  return make("div", { id: "backtest" }, start, make("p", { class: "note" }, may("backtest") ? t("backtestHint", { days: HORIZON_DAYS }) : missing("backtest")), status);
}
