/** What a region opens on, and what is said about that: the region itself, the hour, the model that serves. */
import { getJson } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { firstShift } from "./shifts.js";
import { dayText, inZone, plusHours } from "./time.js";
import { view } from "./view.js";

const FRESH_DAYS = 28;
const EVENING = "T23:00";
const notes = { hour: "", region: "" };

/** Why something else is shown than might be expected; empty where there is nothing to say. */
export const openingNotes = () => [notes.region, notes.hour].filter(Boolean);

/** Somebody chose an hour. */
export function forgetHourNote() {
  notes.hour = "";
}

/** Somebody chose a region. */
export function forgetRegionNote() {
  notes.region = "";
}

/** List the regions; where the view's is none of them, the first that has a forecast is taken. */
export async function listRegions() {
  const { regions } = await getJson("/v1/regions");
  byId("region").replaceChildren(...regions.map((/** @type {any} */ r) => new Option(r.name, r.id)));
  byId("all-regions").hidden = regions.length < 2;
  if (!regions.some((/** @type {any} */ r) => r.id === view.region)) {
    const first = regions.find((/** @type {any} */ r) => r.champion) ?? regions[0];
    notes.region = view.region && first ? t("unknownRegion", { id: view.region, name: first.name }) : "";
    view.region = first?.id ?? "";
  }
  byId("region").value = view.region;
}

/**
 * Where no hour is asked for: the present one, or the evening after the data end where they are old; for a plan, the shift of that hour.
 * @param {any} served @param {any} region
 */
export function openingHour(served, region) {
  const zone = region.timezone;
  const now = inZone(new Date(), zone);
  const end = served && inZone(served.data_until, zone);
  const old = end && Date.now() - Date.parse(served.data_until) > FRESH_DAYS * 24 * 3.6e6;
  notes.hour = old && !view.at ? t(view.tab === "plan" ? "planEnds" : "dataEnds", { date: dayText(plusHours(end, -1)) }) : "";
  if (view.at) return;
  view.at = old ? `${end.slice(0, 10)}${EVENING}` : now;
  if (view.tab === "plan") Object.assign(view, firstShift(region, view.at, Boolean(old)));
}

/** Name of the choice that follows whatever version serves. @param {any[]} models */
export function serving(models) {
  const found = models.find((m) => m.champion);
  return found ? t("champion", { model: found.model }) : t("noModelShort");
}
