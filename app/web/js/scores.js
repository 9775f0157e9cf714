/** What forecasts caught in weeks their model had not seen: a version's own validation, or a backtest. */
import { getJson, regionPath } from "./api.js";
import { t } from "./i18n.js";

/**
 * @typedef {{hit_rate: Record<string, number>, cap_curve?: number[], cap_auc: number, n: number, calibration?: any}} Score
 * @typedef {{own: Score, models: Record<string, Score>, n: number, since: string, days: number, differences: any[],
 *   backtest: any}} Record_ `since` RFC 3339; `backtest` its result and id, or null
 */

/** Last year's incidents per cell: the rival that everybody can make. */
export const PAST = "prior-counts";
/** Baselines in the order in which they are shown. */
export const BASELINES = [PAST, "pooled-kde", "window-kde", "gmm", "history"];
const HORIZON_DAYS = 28;

/** @type {Record<string, string>} */
const NAMED = { "the champion": "priorChampion", [PAST]: "pastCounts", "prior-counts-hourly": "pastCountsHourly" };

/** The service calls the version served at the time "the champion". @param {string} name */
export const modelName = (name) => (NAMED[name] ? t(NAMED[name]) : name);

/**
 * The track record of a version: the latest backtest with its model, else its own validation.
 * @param {any} region @param {any} version @param {Promise<any>} [asked] the latest backtest, asked for before
 * @returns {Promise<Record_ | null>}
 */
export async function trackRecord(region, version, asked) {
  if (!version) return null;
  const backtest = await (asked ?? latestBacktest(region.id));
  const tested = backtest?.models[version.model];
  if (tested) {
    return {
      own: tested, models: backtest.models, n: tested.n, since: backtest.origins[0], backtest,
      days: backtest.origins.length * backtest.horizon_days,
      differences: backtest.differences.filter((/** @type {any} */ d) => d.model === version.model).map((/** @type {any} */ d) => ({ ...d, mean: d.log_score })),
    };
  }
  const scores = version.scores;
  if (!scores?.models) return null;
  return {
    own: scores.models[version.model], models: scores.models, n: scores.n, since: new Date(scores.origin_s * 1000).toISOString(),
    days: HORIZON_DAYS, backtest,
    differences: Object.entries(scores.differences ?? {}).map(([against, d]) => ({ against, .../** @type {any} */ (d) })),
  };
}

/** @param {string} region @returns {Promise<any>} its result with its id, or null */
export async function latestBacktest(region) {
  const { backtests } = await getJson(regionPath(region, "backtests"));
  // Those of late data are about one model only: see late-data.js.
  const latest = backtests.find((/** @type {any} */ b) => b.status === "succeeded" && !(b.request.refresh && b.request.models.length === 1));
  return latest ? { id: latest.id, ...(await getJson(regionPath(region, `backtests/${latest.id}`))).result } : null;
}

/** 95 % interval of a share of n incidents (Wilson 1927). @param {number} rate @param {number} n */
export function rateInterval(rate, n) {
  const z = 1.959964;
  const middle = (rate * n + (z * z) / 2) / (n + z * z);
  const half = (z / (n + z * z)) * Math.sqrt(n * rate * (1 - rate) + (z * z) / 4);
  return { lo: Math.max(middle - half, 0), hi: Math.min(middle + half, 1) };
}

/** Baselines beside which a record stands, in their order. @param {Record_} record */
export const rivalsOf = ({ models, own }) => BASELINES.filter((name) => models[name] && models[name] !== own);

/**
 * Share of incidents in the top cells: as tested, else from the CAP curve, else linear between validated percentages.
 * @param {Score} score @param {number} top percent
 */
export function caughtAt(score, top) {
  if (score.hit_rate[top] !== undefined) return { rate: score.hit_rate[top], exact: true };
  if (score.cap_curve) return { rate: score.cap_curve[top], exact: true };
  const known = [[0, 0], ...Object.entries(score.hit_rate).map(([k, v]) => [Number(k), v])].sort((a, b) => a[0] - b[0]);
  const after = known.findIndex(([k]) => k >= top);
  if (after < 1) return null;
  const [[k0, v0], [k1, v1]] = [known[after - 1], known[after]];
  return { rate: v0 + ((v1 - v0) * (top - k0)) / (k1 - k0), exact: k1 === top };
}
