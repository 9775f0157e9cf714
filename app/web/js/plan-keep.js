/** What a plan keeps to: areas that its zones stay inside, and an earlier plan whose zones stay unless others are better beyond chance. */
import { getJson, regionPath } from "./api.js";
import { byId, make } from "./dom.js";
import { percent } from "./forecast.js";
import { count, currentLanguage, number, t } from "./i18n.js";
import { placeText } from "./plan-view.js";
import { shiftChoice, shiftOf, shiftsOf, spanOf } from "./shifts.js";
import { dayText, plusHours } from "./time.js";
import { FOLLOWED, view } from "./view.js";

const NEIGHBOURHOODS = "neighbourhoods";
/** A gain that is no difference. */
const SAME = 1.005;

/** Layers by region and name; null: on their way. @type {Map<string, any>} */ const held = new Map();
/** The layer whose outlines are on the map. */ let outlined = "";

const keyOf = (/** @type {any} */ region) => `${region.id} ${view.within}`;

/** @param {string} layer */
const layerText = (layer) => (layer === NEIGHBOURHOODS ? t("neighbourhoodsLayer") : layer);

/** Names of the chosen layer's areas, once they are there. @param {any} region @param {() => void} then @returns {string[]} */
function areaNames(region, then) {
  const key = keyOf(region);
  if (!held.has(key)) {
    held.set(key, null);
    const asked = view.within === NEIGHBOURHOODS ? Promise.resolve(region.neighbourhoods) : getJson(regionPath(region.id, `layers/${encodeURIComponent(view.within)}`));
    asked.then((collection) => { held.set(key, collection); then(); }, () => held.delete(key));
  }
  const names = new Set((held.get(key)?.features ?? []).map((/** @type {any} */ { properties }) => String(properties.name)));
  return /** @type {string[]} */ ([...names]).sort(new Intl.Collator(currentLanguage(), { numeric: true }).compare);
}

/** Outline the areas that zones stay inside; elsewhere what the map has otherwise. @param {any} map @param {any} region */
export function outlineAreas(map, region) {
  const key = view.tab === "plan" && view.within && held.get(keyOf(region)) ? keyOf(region) : "";
  if (key || outlined) map.parts(key ? held.get(key) : region.neighbourhoods);
  outlined = key;
}

/** Parameters of the service that say where zones stay. */
export const keepAsked = () => (view.area ? { inside: `${view.within}:${view.area}` } : { within: view.within });

/** The hours whose plan is followed. @param {any} region @returns {{at: string, hours: number} | null} */
export function formerSpan(region) {
  if (!view.follow) return null;
  if (view.follow === "day") return { at: plusHours(view.at, -24), hours: view.hours };
  const days = [-24, 0].map((hours) => plusHours(view.at, hours).slice(0, 10));
  const spans = shiftOf(region, view) ? days.flatMap((date) => shiftsOf(region).map((shift) => spanOf(shift, date))) : [];
  const before = spans.filter(({ at, hours }) => plusHours(at, hours) <= view.at).sort((a, b) => (a.at < b.at ? 1 : -1));
  return before[0] ?? { at: plusHours(view.at, -view.hours), hours: view.hours };
}

/** Show in the form what view says; a layer that the region does not have is dropped. @param {any} region @param {() => void} then when the areas of a layer are there */
export function syncKeep(region, then) {
  const layers = region.layers.map((/** @type {any} */ one) => one.name);
  if (!layers.includes(view.within)) Object.assign(view, { within: "", area: "" });
  const fill = (/** @type {string} */ id, /** @type {[string, string][]} */ options, /** @type {string} */ value) => {
    byId(id).replaceChildren(...options.map(([name, text]) => new Option(text, name)));
    byId(id).value = value;
  };
  fill("plan-within", [["", t("withinAny")], ...layers.map((/** @type {string} */ name) => [name, layerText(name)])], view.within);
  byId("plan-within").closest("label").hidden = layers.length === 0;
  byId("plan-area").closest("label").hidden = view.within === "";
  if (view.within) {
    const names = areaNames(region, () => { syncKeep(region, then); then(); });
    fill("plan-area", [["", t("areaEach")], ...[...new Set([...names, ...(view.area ? [view.area] : [])])].map((name) => /** @type {[string, string]} */ ([name, name]))], view.area);
  }
  fill("plan-follow", ["", ...FOLLOWED].map((name) => [name, t(`follow_${name || "none"}`)]), view.follow);
  byId("plan-follow-note").hidden = view.follow === "";
  if (view.within || view.follow) byId("plan-more").open = true;
}

/** @param {(id: string, react: (value: string) => any) => void} on @param {(what: Partial<typeof view>) => any} change */
export function openKeep(on, change) {
  on("plan-within", (within) => change({ within, area: "" }));
  on("plan-area", (area) => change({ area }));
  on("plan-follow", (follow) => change({ follow }));
}

/** The earlier plan, e.g. "Late, 14–22, Dec 20, 2019". @param {any} former @param {any} region */
function formerText({ span }, region) {
  const shift = shiftOf(region, span) ?? { name: t("hoursChosen"), start: span.at.slice(11), end: plusHours(span.at, span.hours).slice(11) };
  return `${shiftChoice(shift)}, ${dayText(span.at)}`;
}

/** Where zones stay and how many of the earlier ones stay, in a line each. @param {any} plan @param {any} region */
export function followLines(plan, region) {
  const { within, inside } = plan.asked;
  const lines = [];
  if (inside) lines.push(t("insideText", { area: inside.slice(inside.indexOf(":") + 1) }));
  else if (within) lines.push(t("withinText", { layer: layerText(within) }));
  if (plan.previous) {
    const [n, moved] = [plan.previous.zones.length, plan.previous.moved];
    const key = moved === 0 ? "followAll" : moved === n ? "followNone" : "followSome";
    lines.push(t(key, { plan: formerText(plan.former, region), n: count(n), stay: count(n - moved) }));
  }
  return lines.map((text) => make("p", { class: "note stays" }, text));
}

/** Below a zone's place: its area, and whether it stays. @param {any} zone properties */
export const zoneNotes = ({ area, status }) => [...(area ? [t("zoneIn", { area })] : []), ...(status ? [t(`zone_${status === "kept" ? "stays" : status}`)] : [])].join(" · ");

/** Each zone of the earlier plan: stays or moved, and why. @param {any} plan */
export function formerPart(plan) {
  if (!plan.previous) return [];
  const rows = plan.previous.zones.map((/** @type {any} */ { status, gain, gain_lo: lo }, /** @type {number} */ i) => {
    const place = placeText(plan.former.features[i].properties);
    const isBetter = gain !== null && lo > 1;
    const key = status === "moved" ? (isBetter ? "former_better" : "former_unfit") : gain < SAME ? "former_same" : "former_chance";
    return make("li", {}, t(key, { place, share: percent(gain - 1), times: number(gain, 2), lo: number(lo, 2) }));
  });
  return [make("div", { class: "fact", id: "plan-former" }, make("h3", {}, t("followTitle")), make("ul", { class: "plain" }, ...rows))];
}
