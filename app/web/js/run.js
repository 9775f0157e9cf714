/** Run it: what the region holds, uploads, training, models, new regions. */
import { isEverywhere, may, missing } from "./access.js";
import { getJson, regionPath } from "./api.js";
import { byId, make } from "./dom.js";
import { count, t } from "./i18n.js";
import { lazyDetails } from "./panel-state.js";
import { modelsPart } from "./models.js";
import { newRegionPart } from "./new-region.js";
import { dayText, inZone } from "./time.js";
import { resumeTraining, trainingPart } from "./training.js";
import { uploadPart } from "./upload.js";

/**
 * @typedef {{region: any, models: any[], champion: string | null, onChange: (region?: string) => Promise<void>}} Known
 *   region null: there is none yet
 */

/** @param {Known} known */
export function drawRun(known) {
  const { region } = known;
  const parts = region
    ? [holds(region), ...allowed("upload", "upload", () => uploadPart(known)), ...allowed("train", "train", () => trainingPart(known)), ...(may("read") ? [schedule(region)] : []), ...(may("read") ? modelsPart(known) : [])]
    : [make("p", { class: "notice" }, t("noRegion"))];
  const typedIn = /** @type {HTMLElement | null} */ (document.activeElement);
  byId("pane-run").replaceChildren(...parts, ...(may("create") ? newRegionPart(known, !region) : []), ...(may("keys") && isEverywhere() ? [keys()] : []));
  // Whoever types in a part that outlives the redraw goes on typing there.
  if (typedIn?.isConnected && typedIn !== document.activeElement) typedIn.focus({ preventScroll: true });
  if (region && may("train")) resumeTraining(known);
}

/** A part of the pane, or why it is not for this caller. @param {string} action @param {string} title @param {() => Node[]} part */
const allowed = (action, title, part) =>
  may(action) ? part() : [make("h3", {}, t(title)), make("p", { class: "note" }, missing(action))];

const keys = () => lazyDetails("keys-part", t("keysTitle"), "", async (holder) =>
  (await import("./key-admin.js")).fillKeys(holder, (await getJson("/v1/regions")).regions));

/** @param {any} region */
const schedule = (region) => lazyDetails("schedule-part", t("scheduleTitle"), region.id, async (holder) => (await import("./schedule.js")).fillSchedule(region, holder));

/** What it holds, from when on; late reports of long before, and placeholder dates, are no beginning. @param {any} region @param {(at: string) => string} day */
function spanOf({ incidents, first_at: first, begins_at: begins, last_at: last }, day) {
  const text = t("regionHolds", { n: count(incidents), from: day(begins ?? first), to: day(last) });
  return begins && begins > first ? `${text} · ${t("earlierOnes", { date: day(first) })}` : text;
}

/** @param {any} region */
function holds(region) {
  if (!region.incidents) return make("p", { class: "notice" }, t("noIncidents"));
  const day = (/** @type {string} */ at) => dayText(inZone(at, region.timezone));
  const report = async (/** @type {any} */ holder) => (await import("./data-report.js")).fillReport(region, holder);
  return make("div", {},
    make("p", { id: "holds" }, spanOf(region, day)),
    // What came in since makes it another report.
    ...(may("report") ? [lazyDetails("report-part", t("reportTitle"), `${region.id} ${region.incidents}`, report)] : []));
}

/** @param {string} region */
export async function knownRegion(region) {
  const [found, { models, champion }] = await Promise.all([
    getJson(`/v1/regions/${encodeURIComponent(region)}`),
    may("read") ? getJson(regionPath(region, "models")) : { models: [], champion: null },
  ]);
  return { region: found, models, champion };
}
