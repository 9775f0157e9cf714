/** What following what arrives is worth, by how late it arrives: from backtests with a daily refresh. */
import { may, missing } from "./access.js";
import { getJson, postJson, regionPath } from "./api.js";
import { make, table } from "./dom.js";
import { count, number, t } from "./i18n.js";
import { follow } from "./runs.js";
import { view } from "./view.js";

const DELAYS_DAYS = [0, 1, 7, 14, 45];
const HORIZON_DAYS = 28;

/** The newest backtest of each delay with its worth. @param {string} region @param {string} model */
async function worthByDelay(region, model) {
  const { backtests } = await getJson(regionPath(region, "backtests"));
  const asked = backtests.filter((/** @type {any} */ b) => b.status === "succeeded" && b.request.refresh && !b.request.as_known && b.request.models.includes(model));
  const newest = DELAYS_DAYS.map((days) => asked.find((/** @type {any} */ b) => (b.request.delay_days ?? 0) === days)).filter(Boolean);
  const results = await Promise.all(newest.map((b) => getJson(regionPath(region, `backtests/${b.id}`))));
  return results.flatMap(({ result }) => (result?.refresh?.differences ?? [])
    .filter((/** @type {any} */ d) => d.against === model)
    .map((/** @type {any} */ d) => ({ days: result.refresh.delay_days, ...d })));
}

/**
 * @param {any} region @param {any} version @param {() => Promise<void>} onTested
 * @returns {Promise<Node[]>}
 */
export async function lateDataPart(region, version, onTested) {
  const found = await worthByDelay(region.id, version.model);
  const rows = found.map((d) => [count(d.days), number(d.log_score, 2), `${number(d.lo, 2)} – ${number(d.hi, 2)}`]);
  const made = table(t("lateWorth"), [t("lateDays"), t("lateNats"), "95 %"], rows);
  made.id = "late-data";
  const status = make("div", { class: "status", role: "status" });
  const start = make("button", { type: "button", id: "start-late", disabled: !may("backtest") }, t("startLate"));
  start.addEventListener("click", async () => {
    start.disabled = true;
    const path = regionPath(region.id, "backtests");
    for (const days of DELAYS_DAYS) {
      const asked = { models: [version.model], n_origins: 1, horizon_days: HORIZON_DAYS, refresh: "daily", delay_days: days };
      await follow(path, () => postJson(path, asked), status);
      if (!status.classList.contains("good")) break;
    }
    start.disabled = false;
    if (view.region === region.id) await onTested();
  });
  return [
    make("h3", {}, t("lateTitle")),
    make("p", { class: "note" }, t("lateHint")),
    ...(rows.length ? [make("div", { class: "scroll" }, made)] : []),
    make("div", {}, start, ...(may("backtest") ? [] : [make("p", { class: "note" }, missing("backtest"))]), status),
  ];
}
