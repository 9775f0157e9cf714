/** How far to trust it: version, warnings, track record, last week against what happened. */
import { getJson, postJson } from "./api.js";
import { byId, definitions, make, table } from "./dom.js";
import { count, fixed, number, t, warning } from "./i18n.js";
import { follow } from "./runs.js";
import { dayText, inZone } from "./time.js";
import { view } from "./view.js";

const PERCENTS = ["1", "5", "10", "20"];
const HORIZON_DAYS = 28;

/** @param {string} region @param {string} rest */
const path = (region, rest) => `/v1/regions/${encodeURIComponent(region)}/${rest}`;

/**
 * @param {{region: any, version: any, shown: any, onOutcomes: (wanted: boolean) => Promise<any>, outcomes: any}} known
 */
export async function drawTrust(known) {
  const { region, version, shown } = known;
  const pane = byId("pane-trust");
  if (!version) {
    pane.replaceChildren(make("p", { class: "notice" }, t("noModel")));
    return;
  }
  const day = (/** @type {string} */ instant) => dayText(inZone(instant, region.timezone));
  const facts = definitions([
    [t("version"), version.version],
    [t("trainedUntil"), day(version.trained_until)],
    [t("trainedOn"), t("incidents", { n: count(version.n_incidents) })],
    [t("dataUntil"), region.last_at ? day(region.last_at) : "–"],
  ]);
  const warnings = (shown?.warnings ?? []).map((/** @type {string} */ w) => make("li", {}, warning(w)));
  const backtest = make("div", { id: "backtest" });
  pane.replaceChildren(
    facts,
    ...(warnings.length ? [make("h3", {}, t("warnings")), make("ul", { class: "plain notice", id: "warnings" }, ...warnings)] : []),
    ...record(version, region),
    outcomesPart(known),
    backtest,
  );
  await drawBacktest(region, version, backtest);
}

/** The track record of a version. @param {any} version @param {any} region */
function record(version, region) {
  const scores = version.scores;
  if (!scores?.models) return [make("h3", {}, t("hitRates")), make("p", { class: "note" }, t("unscored"))];
  const since = dayText(inZone(new Date(scores.origin_s * 1000), region.timezone));
  return [rates(scores.models, version.model), make("p", { class: "note" }, `${t("validated")}: ${t("caughtFrom", { n: count(scores.n), date: since })}`),
    ...Object.entries(scores.differences ?? {}).map(([name, d]) => verdict(name, d))];
}

/** The service calls the version served at the time "the champion". @param {string} name */
const modelName = (name) => (name === "the champion" ? t("priorChampion") : name);

/** Hit rates of models against each other and against chance. @param {any} models @param {string} best @param {string} [caption] */
function rates(models, best, caption = t("hitRates")) {
  const names = Object.keys(models).sort((a, b) => models[b].cap_auc - models[a].cap_auc);
  const rows = names.map((name) => [modelName(name), ...PERCENTS.map((k) => `${fixed(100 * models[name].hit_rate[k], 0)} %`)]);
  if (!names.includes("uniform")) rows.push([t("chance"), ...PERCENTS.map((k) => `${k} %`)]);
  const made = table(caption, [t("model"), ...PERCENTS.map((k) => `${t("topK")} ${k}\u00a0%`)], rows);
  made.querySelectorAll("tbody tr").forEach((/** @type {any} */ line, /** @type {number} */ i) => line.classList.toggle("best", names[i] === best));
  return made;
}

/** @param {string} rival @param {any} d mean, lo and hi in nats */
function verdict(rival, d) {
  const name = modelName(rival);
  const key = d.lo > 0 ? "betterYes" : d.hi < 0 ? "worse" : "betterNo";
  const values = { name, mean: number(d.mean, 2), lo: number(d.lo, 2), hi: number(d.hi, 2) };
  return make("p", { class: "note" }, make("strong", {}, t(key, { name })), `. ${t("better", values)}`);
}

/** @param {any} known */
function outcomesPart({ onOutcomes, outcomes, region }) {
  const text = make("div", { class: "note", id: "outcomes-text", "aria-live": "polite" });
  const say = (/** @type {any} */ told) => {
    if (!told) return text.replaceChildren();
    const day = (/** @type {string} */ at) => dayText(at);
    const line = t("outcomesText", {
      from: day(told.from), to: day(told.to), hits: count(told.hits), n: count(told.incidents),
      rate: told.hit_rate === null ? "–" : fixed(100 * told.hit_rate, 0), top: told.top,
    });
    const key = (/** @type {string} */ colour, /** @type {string} */ name) => [make("span", { class: "key", style: `background: ${colour}` }), name];
    text.replaceChildren(line, make("div", {}, ...key("#009e73", t("hits")), ...key("#d6006c", t("misses"))),
      ...(told.in_sample ? [make("p", { class: "notice" }, t("inSample"))] : []));
  };
  const box = make("input", { type: "checkbox", id: "outcomes", checked: Boolean(outcomes), disabled: !region.last_at });
  box.addEventListener("change", async () => say(await onOutcomes(box.checked)));
  say(outcomes);
  return make("div", {}, make("h3", {}, make("label", {}, box, " ", t("outcomes"))), text);
}

/**
 * What a version's model caught in weeks it had not seen: its own validation, else its model's part of
 * the latest backtest. @param {any} region @param {any} version
 * @returns {Promise<{hit_rate: Record<string, number>, n: number, since: string} | null>}
 */
export async function pastScores(region, version) {
  const own = version?.scores;
  if (own?.hit_rate) return { hit_rate: own.hit_rate, n: own.n, since: new Date(own.origin_s * 1000).toISOString() };
  const result = version && (await latestBacktest(region));
  const found = result?.models[version.model];
  return found ? { hit_rate: found.hit_rate, n: found.n, since: result.origins[0] } : null;
}

/** @param {any} region @returns {Promise<any>} its result with its id, or null */
async function latestBacktest(region) {
  const { backtests } = await getJson(path(region.id, "backtests"));
  const latest = backtests.find((/** @type {any} */ b) => b.status === "succeeded");
  return latest ? { id: latest.id, ...(await getJson(path(region.id, `backtests/${latest.id}`))).result } : null;
}

/** @param {any} region @param {any} version @param {any} holder */
async function drawBacktest(region, version, holder) {
  const latest = await latestBacktest(region);
  const parts = [];
  if (latest) {
    const picture = (/** @type {string} */ kind, /** @type {string} */ alt) =>
      make("img", { class: "plot", loading: "lazy", alt: t(alt), src: path(region.id, `backtests/${latest.id}/${kind}?f=svg`) });
    parts.push(rates(latest.models, version.model, t("latestBacktest")), make("p", { class: "note" }, t("caughtFrom", { n: count(latest.n), date: dayText(inZone(latest.origins[0], region.timezone)) })),
      picture("cap", "capAlt"), picture("calibration", "calibrationAlt"),
      make("p", {}, make("a", { href: path(region.id, `backtests/${latest.id}/report`) }, t("fullReport"))));
  } else parts.push(make("h3", {}, t("latestBacktest")), make("p", { class: "note" }, t("noBacktest")));
  const status = make("div", { class: "status", role: "status" });
  const start = make("button", { type: "button", id: "start-backtest" }, t("startBacktest"));
  start.addEventListener("click", async () => {
    start.disabled = true;
    const models = [...new Set([version.model, "pooled-kde", "uniform"])];
    await follow(path(region.id, "backtests"), () => postJson(path(region.id, "backtests"), { models, n_origins: 1, horizon_days: HORIZON_DAYS }), status);
    if (view.region === region.id && status.classList.contains("good")) await drawBacktest(region, version, holder);
    start.disabled = false;
  });
  holder.replaceChildren(...parts, start, status);
}
