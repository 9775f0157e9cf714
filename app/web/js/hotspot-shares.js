/** What stands beside the map: what the hotspots catch, and the week; each asked for once. */
import { forecastPath, getJson } from "./api.js";
import { drawShares } from "./forecast.js";
import { gradient, SEQUENTIAL_RAMP } from "./colours.js";
import { byId, make } from "./dom.js";
import { currentLanguage, number, t } from "./i18n.js";
import { showError } from "./runs.js";
import { latestBacktest, trackRecord } from "./scores.js";
import { drawWeekData, forgetWeekData, loadWeekData, syncWeekViews } from "./week-data.js";
import { drawWeekStrip } from "./week-strip.js";
import { selectors } from "./export.js";
import { plusHours, weekStart } from "./time.js";
import { view } from "./view.js";

/** @type {Map<any, Promise<any>>} version -> what it caught in past weeks */ const past = new Map();
/** @type {Promise<any> | undefined} */ let tests;
let seriesKey = "";
/** @type {{key: string, replies: Promise<any[]>} | null} */ let held = null;
let drawnKey = "";

/** What the hotspots of a forecast cover and catch, and what such hotspots caught before: asked for once. @param {any} known @param {import("./export.js").Asked} asked */
export function expectShares(known, asked) {
  const path = forecastPath(asked.region, "hotspots", { ...selectors(asked), top: view.top, dissolve: true });
  const key = [path, known.champion, currentLanguage()].join();
  if (held?.key !== key) {
    held = { key, replies: Promise.all([getJson(path), pastOf(known, asked.model)]) };
    held.replies.catch(() => {});
  }
  return held;
}

/** Draw them beside the forecast that they are of. @param {any} known @param {any} shown */
export async function showShares(known, shown) {
  const mine = expectShares(known, shown.asked);
  try {
    const [head, record] = await mine.replies;
    if (mine !== held || mine.key === drawnKey) return;
    drawnKey = mine.key;
    drawShares(head, record, shown, known.region.timezone);
    document.body.dataset.shares = `${shown.asked.at} ${head.top}`;
  } catch (error) {
    if (mine !== held) return;
    held = null;
    showError(error, true);
  }
}

/** @param {any} known @param {string} model "" for the champion */
function pastOf(known, model) {
  const version = known.models.find((/** @type {any} */ m) => m.version === (model || known.champion));
  const before = past.get(version);
  if (before) return before;
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

/** The week of the chosen hour: its forecast, or what the data say of such hours. */
export async function showWeek(/** @type {any} */ known) {
  syncWeekViews();
  const monday = weekStart(view.at);
  const key = [view.strip, view.region, monday, view.category, view.model, known.champion, currentLanguage()].join();
  if (key === seriesKey) return;
  seriesKey = key;
  const path = forecastPath(view.region, "series", { from: monday, to: plusHours(monday, 168), category: view.category, model: view.model });
  try {
    const reply = await (view.strip ? loadWeekData() : getJson(path));
    if (key === seriesKey) (view.strip ? drawWeekData : drawExpected)(reply);
  } catch (error) {
    seriesKey = "";
    showError(error, true);
  }
}

/** The strip's colours go from none to the week's busiest hour. @param {any} series */
function drawExpected(series) {
  drawWeekStrip(series);
  const { slots } = series;
  const most = slots.reduce((/** @type {number} */ n, /** @type {any} */ slot) => Math.max(n, slot.expected_total), 0);
  const used = SEQUENTIAL_RAMP.slice(Math.round(0.04 * SEQUENTIAL_RAMP.length), Math.round(0.84 * SEQUENTIAL_RAMP.length));
  byId("strip-legend").replaceChildren("0", make("i", { style: `background: ${gradient(used)}` }), `${number(most, 2)} ${t("stripUnit")}`);
}

/** Draw all of it again next time, as after a change of language. */
export function redrawNextTime() {
  seriesKey = drawnKey = "";
  held = null;
}

/** Forget what was loaded: the region, its data or its models have changed. */
export function forgetRegion() {
  redrawNextTime();
  forgetWeekData();
  tests = undefined;
  past.clear();
}
