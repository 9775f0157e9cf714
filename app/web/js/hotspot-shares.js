/** What stands beside the map: what the hotspots catch, and the week; each asked for once. */
import { forecastPath, getJson } from "./api.js";
import { drawShares } from "./forecast.js";
import { currentLanguage } from "./i18n.js";
import { showError } from "./runs.js";
import { latestBacktest, trackRecord } from "./scores.js";
import { drawWeekStrip } from "./week-strip.js";
import { selectors } from "./export.js";
import { plusHours, weekStart } from "./time.js";
import { view } from "./view.js";

/** @type {Map<any, Promise<any>>} version -> what it caught in past weeks */ const past = new Map();
/** @type {Promise<any> | undefined} */ let tests;
let seriesKey = "";
let sharesKey = "";

/** What the hotspots cover and catch, and what such hotspots caught before. */
export async function showShares(/** @type {any} */ known) {
  const path = forecastPath(view.region, "hotspots", { ...selectors(), top: view.top, dissolve: true });
  const key = [path, known.champion, currentLanguage()].join();
  if (key === sharesKey) return;
  sharesKey = key;
  try {
    const [head, record] = await Promise.all([getJson(path), pastOf(known)]);
    if (key !== sharesKey) return;
    drawShares(head, record, known.region.timezone);
    document.body.dataset.shares = `${view.at} ${view.top}`;
  } catch (error) {
    sharesKey = "";
    showError(error);
  }
}

function pastOf(/** @type {any} */ known) {
  const version = known.models.find((/** @type {any} */ m) => m.version === (view.model || known.champion));
  const held = past.get(version);
  if (held) return held;
  const asked = trackRecord(known.region, version, tests);
  tests = undefined;
  past.set(version, asked);
  // A failure is passed to whoever waits for it, and asked for again next time.
  asked.catch(() => past.delete(version));
  return asked;
}

/** The track record takes two requests: begin while the region itself is on its way. @param {string} region */
export function expectTrackRecord(region) {
  tests = latestBacktest(region);
  tests.catch(() => {});
}

/** The week of the chosen hour. */
export async function showWeek(/** @type {any} */ known) {
  const monday = weekStart(view.at);
  const key = [view.region, monday, view.category, view.model, known.champion, currentLanguage()].join();
  if (key === seriesKey) return;
  seriesKey = key;
  const path = forecastPath(view.region, "series", { from: monday, to: plusHours(monday, 168), category: view.category, model: view.model });
  try {
    const series = await getJson(path);
    if (key === seriesKey) drawWeekStrip(series);
  } catch (error) {
    seriesKey = "";
    showError(error);
  }
}

/** Draw all of it again next time, as after a change of language. */
export function redrawNextTime() {
  seriesKey = sharesKey = "";
}

/** Forget what was loaded: the region, its data or its models have changed. */
export function forgetRegion() {
  redrawNextTime();
  tests = undefined;
  past.clear();
}
